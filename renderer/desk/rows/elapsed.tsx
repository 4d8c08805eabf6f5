import { useNow } from "../../ui/media.ts";
import { lengthText } from "./cells.ts";

/** A duration; it grows only while `running` is true, because only then does anything happen. */
export function Elapsed({ length, running }: { length: { from: number; to: number | null } | null; running: boolean }) {
  const open = length !== null && length.to === null;
  const now = useNow(open && running);
  if (open && !running) return <span className="text-ink-3">–</span>;
  return <>{lengthText(length, now)}</>;
}
