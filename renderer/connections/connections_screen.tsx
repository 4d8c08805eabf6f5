import { KeyRound, Plus, RefreshCw } from "lucide-react";
import { useEffect, useState } from "react";
import type { Connection, SignIn } from "../../main/contract/vaults/connections.ts";
import { normalisedServerUrl } from "../../main/contract/vaults/server_url.ts";
import { connectAgain, dismissRemoved, followConnections, useConnections } from "../store/connections.ts";
import { refreshHealth, useEngine } from "../store/engine.ts";
import { CONNECTIONS, go } from "../store/route.ts";
import { Button } from "../ui/button.tsx";
import { useNow } from "../ui/media.ts";
import { ProblemNote } from "../ui/problem_note.tsx";
import { AddDialog, type Asked } from "./add_dialog.tsx";
import { type Change, ChangeDialog } from "./change_dialogs.tsx";
import { ConnectionItem } from "./connection_item.tsx";
import { Empty } from "./empty.tsx";
import { SignInCard } from "./sign_in_card.tsx";

interface ConnectionsScreenProps {
  /** A server that somebody was sent here for, and the vault that the connection is wanted in. */
  server: string | null;
  vault: string | null;
}

/** What sessions may sign in as, and where: connect, look, sign in again, remove. */
export function ConnectionsScreen({ server, vault }: ConnectionsScreenProps) {
  const { list, signIns, problem, removed } = useConnections();
  const live = useEngine((state) => state.connection === "open");
  const now = useNow(true, 30_000);
  const [adding, setAdding] = useState<Asked | null>(null);
  const [change, setChange] = useState<Change | null>(null);
  const [askedId, setAskedId] = useState<string | null>(null);
  useEffect(() => followConnections(), []);
  useEffect(() => refreshHealth(), []);

  // Whoever is sent here for a server finds its connection, or the form filled in as far as it is known.
  useEffect(() => {
    if (server === null || list === null) return;
    const known = list.find((connection) => isFor(connection, server, vault));
    if (known === undefined) setAdding({ server, vault, kind: "mcp_oauth" });
    else setAskedId(known.id);
    go(CONNECTIONS, true);
  }, [server, vault, list]);

  const again = (signIn: SignIn): void => {
    const known = list?.find(({ id }) => id === signIn.connection_id);
    if (known === undefined) setAdding({ server: signIn.mcp_server_url, vault: signIn.vault_id, kind: "mcp_oauth" });
    else if (known.client?.has_secret === true) setChange({ what: "client", connection: known });
    else void connectAgain(known.id, null);
  };
  const add = (kind: Asked["kind"]): void => setAdding({ server: null, vault: null, kind });
  const empty = list !== null && list.length === 0 && signIns.length === 0;
  return (
    <main className="min-w-0 flex-1 overflow-y-auto" data-testid="connections">
      <div className="mx-auto max-w-3xl space-y-6 px-8 py-10 max-[900px]:pl-14">
        <header className="flex items-start gap-4">
          <div className="min-w-0 flex-1 space-y-1">
            <h1 className="text-title font-semibold">Connections</h1>
            <p className="max-w-prose text-ink-2">
              What sessions may use and never see: Longhaul&apos;s broker adds each credential on the way out. Neither
              the model nor the sandbox holds one.
            </p>
          </div>
          {!empty && (
            <Button
              look="primary"
              icon={<Plus size={14} aria-hidden />}
              disabled={!live}
              onClick={() => add("mcp_oauth")}
              data-testid="connect"
            >
              Connect
            </Button>
          )}
        </header>
        <Keychain />
        {problem !== null && list !== null && live && <ProblemNote problem={problem} />}
        {removed !== null && (
          <div
            className={`flex items-start gap-3 rounded border px-3 py-2 ${removed.told ? "border-line" : "border-accent-line bg-accent-soft"}`}
            data-testid="removed"
          >
            <p className="min-w-0 flex-1">
              <span className="font-medium">{removed.name} was removed.</span> {removed.message}
            </p>
            <Button look="ghost" onClick={dismissRemoved}>
              Dismiss
            </Button>
          </div>
        )}
        {signIns.map((signIn) => (
          <SignInCard key={signIn.id} signIn={signIn} onAgain={() => again(signIn)} />
        ))}
        {list === null &&
          (problem === null || !live ? (
            <p className="text-ink-2">Asking the engine…</p>
          ) : (
            <ProblemNote problem={problem} />
          ))}
        {empty && <Empty live={live} onAdd={add} />}
        {byVault(list ?? []).map(({ id, name, connections }) => (
          <section key={id} aria-label={`Vault ${name}`} data-testid="vault-group">
            <h2 className="mb-1 text-meta font-medium tracking-wide text-ink-2 uppercase">{name}</h2>
            <ul className="divide-y divide-line border-y border-line">
              {connections.map((connection) => (
                <ConnectionItem
                  key={connection.id}
                  connection={connection}
                  waiting={signIns.some((row) => row.connection_id === connection.id && row.state === "waiting")}
                  live={live}
                  now={now}
                  asked={askedId === connection.id}
                  onReplace={() => setChange({ what: "replace", connection })}
                  onClient={() => setChange({ what: "client", connection })}
                  onRemove={() => setChange({ what: "remove", connection })}
                />
              ))}
            </ul>
          </section>
        ))}
      </div>
      <AddDialog asked={adding} onClose={() => setAdding(null)} />
      <ChangeDialog change={change} onClose={() => setChange(null)} />
    </main>
  );
}

/** Says that nothing can be sealed, and what to do; sessions that need no credential are not held up by it. */
function Keychain() {
  const keychain = useEngine((state) => state.health?.keychain);
  if (keychain === undefined || keychain.state === "ok") return null;
  const missing = keychain.state === "missing";
  return (
    <section
      aria-label="Keychain"
      data-testid="keychain"
      data-state={keychain.state}
      className="flex items-start gap-3 rounded-lg border border-accent-line bg-accent-soft px-4 py-3"
    >
      <KeyRound size={16} className="mt-0.5 shrink-0 text-accent-text" aria-hidden />
      <div className="min-w-0 flex-1">
        <h2 className="font-semibold">{missing ? "No credential can be opened or kept" : "About the keychain"}</h2>
        <p>{keychain.summary}</p>
        {keychain.advice !== null && <p className="text-ink-2">{keychain.advice}</p>}
      </div>
      <Button look="ghost" icon={<RefreshCw size={14} aria-hidden />} onClick={refreshHealth}>
        Check again
      </Button>
    </section>
  );
}

function isFor({ auth, vault: own }: Connection, server: string, vault: string | null): boolean {
  if (auth.type === "environment_variable" || !URL.canParse(server)) return false;
  if (vault !== null && own.id !== vault) return false;
  return normalisedServerUrl(auth.mcp_server_url) === normalisedServerUrl(server);
}

/** In the engine's order, which is that of their making: nothing moves while somebody reads. */
function byVault(list: readonly Connection[]): { id: string; name: string; connections: Connection[] }[] {
  const groups = new Map<string, { id: string; name: string; connections: Connection[] }>();
  for (const connection of list) {
    const { id, display_name: name } = connection.vault;
    const group = groups.get(id) ?? { id, name, connections: [] };
    groups.set(id, group);
    group.connections.push(connection);
  }
  return [...groups.values()];
}
