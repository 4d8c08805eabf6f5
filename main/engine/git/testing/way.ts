/** A broker, a git server and the engine's way between them, for sandboxes of one session. */
import type { RepositoryGrant } from "../../../contract/vaults/grants.ts";
import { BrokerClient } from "../../../harness/broker_client.ts";
import { MemoryLedger } from "../../../session/memory_ledger.ts";
import { sessionCreated } from "../../../session/testing/drafts.ts";
import { type GitServer, gitServer } from "../../../vault/git/testing/git_server.ts";
import { type GitRig, gitRig } from "../../../vault/git/testing/rig.ts";
import { LAUNCH_SECRET, stopBrokers } from "../../../vault/testing/broker_client.ts";
import { BrokerGit } from "../broker_git.ts";
import { SessionPushes } from "../pushes.ts";

export interface GitWay extends AsyncDisposable {
  rig: GitRig;
  server: GitServer;
  ledger: MemoryLedger;
  session: string;
  git: BrokerGit;
  /** What the engine's records say of the session. */
  grants: RepositoryGrant[];
  /** Seals a token and grants the repository with it. */
  attach(name: string, token: string | null, more?: Partial<RepositoryGrant>): Promise<RepositoryGrant>;
  /** Types of the session's events about pushes. */
  told(): Promise<string[]>;
  /** The broker is gone and another one takes its place. */
  restartBroker(): Promise<void>;
}

export async function gitWay(): Promise<GitWay> {
  const server = await gitServer();
  let rig = await gitRig();
  const session = rig.broker.sessionId;
  const ledger = new MemoryLedger({});
  await ledger.createSession(session, [sessionCreated()]);
  const client = new BrokerClient(() => ({ url: rig.broker.url, launch_secret: LAUNCH_SECRET }));
  const grants: RepositoryGrant[] = [];
  let registered = false;
  const ensure = async () => {
    if (!registered) await client.control("POST", "/control/grants", { session_id: session, grants: all() });
    registered = true;
    return { repositories: grants };
  };
  const all = () => ({ mcp_servers: [], variables: [], repositories: grants });
  const forget = () => {
    registered = false;
  };
  const git = new BrokerGit({ client, grants: { ensure, forget }, pushes: new SessionPushes(ledger) });
  return {
    rig,
    server,
    ledger,
    session,
    git,
    grants,
    attach: async (name, token, more = {}) => {
      const url = name.startsWith("http") ? name : `${server.url}/${name}`;
      const grant = await rig.grant(url, token, { push: "ask", ...more });
      grants.push(grant);
      registered = false;
      return grant;
    },
    told: async () => {
      const seen: string[] = [];
      for await (const { event } of ledger.getEvents(session))
        if (event.type.startsWith("longhaul.push")) seen.push(event.type);
      return seen;
    },
    restartBroker: async () => {
      await stopBrokers();
      rig = await gitRig({}, rig);
    },
    [Symbol.asyncDispose]: async () => {
      client.dropConnections();
      await stopBrokers();
      await server.close();
      rig.remove();
    },
  };
}
