/** What can be done about a connection that was refused. */
import { Plus } from "lucide-react";
import type { SessionSnapshot } from "../../../main/contract/events.ts";
import { visible } from "../../format/visible.ts";
import { allowHost } from "../../screens/environment/draft.ts";
import { go } from "../../store/route.ts";
import { Button } from "../../ui/button.tsx";

interface EgressAdviceProps {
  /** The session's environment; null while it is not known. */
  environment: SessionSnapshot["environment"] | null;
  host: string;
}

export function EgressAdvice({ environment, host }: EgressAdviceProps) {
  const kept = environment === null ? "" : ` (here “${environment.name}”)`;
  return (
    <div className="space-y-2">
      <p>
        Nothing left the sandbox; the agent saw a refused connection. If the task needs {visible(host)}, start a session
        in an environment that allows it: a session keeps the network that it was started with{kept}.
      </p>
      <Button
        icon={<Plus size={14} aria-hidden />}
        data-testid="allow-host"
        onClick={() => {
          allowHost(environment, host);
          go({ screen: "new" });
        }}
      >
        New session that allows it…
      </Button>
    </div>
  );
}
