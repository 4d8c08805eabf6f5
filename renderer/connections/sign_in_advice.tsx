/** What can be done about an MCP server that wants somebody to sign in. */
import { Plug } from "lucide-react";
import type { SessionFold } from "../../main/contract/fold.ts";
import { go } from "../store/route.ts";
import { Button } from "../ui/button.tsx";

interface SignInAdviceProps {
  /** Null while the session is being read. */
  fold: SessionFold | null;
  /** The server as the agent calls it. */
  name: string;
}

export function SignInAdvice({ fold, name }: SignInAdviceProps) {
  const server = fold?.agent.mcp_servers.find((known) => known.name === name)?.url ?? null;
  const vault = fold?.vault_ids[0] ?? null;
  if (fold !== null && vault === null) {
    return (
      <div className="space-y-2">
        <p>
          The agent goes on without {name}. This session was started without a vault, so no connection reaches it:
          connect to {name}, then start a session that uses the vault.
        </p>
        <Button
          icon={<Plug size={14} aria-hidden />}
          onClick={() => go({ screen: "connections", server, vault: null })}
          data-testid="advice-sign-in"
        >
          Connections…
        </Button>
      </div>
    );
  }
  return (
    <div className="space-y-2">
      <p>The agent goes on without {name}. Sign in, and the session has it from its next turn on.</p>
      <Button
        look="primary"
        icon={<Plug size={14} aria-hidden />}
        onClick={() => go({ screen: "connections", server, vault })}
        data-testid="advice-sign-in"
      >
        Sign in…
      </Button>
    </div>
  );
}
