import { Unplug } from "lucide-react";
import { shortTime } from "../format/times.ts";
import { useEngine } from "../store/engine.ts";
import { useNow } from "../ui/media.ts";

/** Milliseconds that the first connection may take before anything is said. */
const PATIENCE_MS = 700;

/** Says truthfully that the engine does not answer, for as long as it does not. */
export function ConnectionBar() {
  const connection = useEngine((state) => state.connection);
  const since = useEngine((state) => state.since);
  const now = useNow(connection !== "open", 500);
  const shown = connection === "away" || (connection === "connecting" && now - since > PATIENCE_MS);
  return (
    <div role="status" data-testid="connection" data-state={connection}>
      {shown && (
        <div className="flex h-8 items-center gap-2 border-b border-bad/40 bg-bad-soft px-4">
          <Unplug size={14} className="shrink-0 text-bad" aria-hidden />
          <p className="min-w-0 truncate">
            <span className="font-medium">Engine is not answering.</span>{" "}
            <span className="text-ink-2">What you see is kept, as of {shortTime(since)}; reconnecting.</span>
          </p>
        </div>
      )}
    </div>
  );
}
