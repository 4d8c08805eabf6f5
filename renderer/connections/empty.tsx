import { Braces, Globe, KeyRound } from "lucide-react";
import { Button } from "../ui/button.tsx";
import type { Asked } from "./add_dialog.tsx";

const KINDS: readonly {
  kind: Asked["kind"];
  icon: typeof Globe;
  title: string;
  text: string;
  action: string;
}[] = [
  {
    kind: "mcp_oauth",
    icon: Globe,
    title: "An MCP server that you sign in to",
    text: "Issue trackers, documents, mail: give the server's address and sign in with your browser. Tokens are renewed while you sleep, once for all sessions.",
    action: "Sign in…",
  },
  {
    kind: "static_bearer",
    icon: KeyRound,
    title: "An MCP server with a token",
    text: "For servers that give out tokens to paste. It goes to that server's address and to no other.",
    action: "Add a token…",
  },
  {
    kind: "environment_variable",
    icon: Braces,
    title: "A variable for programs in the sandbox",
    text: "API keys for scripts and tests. The sandbox gets a placeholder; requests to the hosts that you name leave with the value in its place.",
    action: "Add a variable…",
  },
];

/** What can be connected, for somebody who sees this for the first time. */
export function Empty({ live, onAdd }: { live: boolean; onAdd: (kind: Asked["kind"]) => void }) {
  return (
    <section aria-label="Nothing is connected yet" data-testid="connections-empty" className="space-y-1">
      <h2 className="text-meta font-medium tracking-wide text-ink-2 uppercase">Nothing is connected yet</h2>
      <ul className="divide-y divide-line border-y border-line">
        {KINDS.map(({ kind, icon: Icon, title, text, action }, index) => (
          <li key={kind} className="flex items-start gap-3 py-4">
            <Icon size={16} className="mt-0.5 shrink-0 text-ink-3" aria-hidden />
            <div className="min-w-0 flex-1">
              <h3 className="font-medium">{title}</h3>
              <p className="max-w-prose text-ink-2">{text}</p>
            </div>
            <Button
              look={index === 0 ? "primary" : "plain"}
              disabled={!live}
              onClick={() => onAdd(kind)}
              data-testid={`add-${kind}`}
            >
              {action}
            </Button>
          </li>
        ))}
      </ul>
      <p className="max-w-prose pt-2 text-small text-ink-3">
        A session uses the vaults that it is started with; connections go into the vault “Connections” unless you choose
        another. Each use is an event in the session&apos;s timeline, never the value.
      </p>
    </section>
  );
}
