/** Connections as the engine last described them, and the sign-ins that wait for the person's browser. */
import { create } from "zustand";
import type { Connection, SignIn } from "../../main/contract/vaults/connections.ts";
import {
  awaitSignIn,
  beginSignIn,
  type ClientParams,
  cancelSignIn,
  checkConnection,
  listConnections,
  removeConnection,
  type SignInParams,
  signInAgain,
} from "../api/connections.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { openOutside } from "../bridge.ts";
import { hostOf, nameOf } from "../connections/words.ts";
import { announce } from "./announce.ts";

interface Connections {
  /** Null until it was read once. */
  list: readonly Connection[] | null;
  signIns: readonly SignIn[];
  /** Why the list could not be read; what was known stays. */
  problem: Problem | null;
  /** What is under way, such as `check vcrd_…`. */
  busy: ReadonlySet<string>;
  /** What went wrong last with a connection or a sign-in, by its id. */
  troubles: ReadonlyMap<string, Problem>;
  /** What became of the one that was removed last. */
  removed: { name: string; message: string; told: boolean } | null;
}

export const useConnections = create<Connections>(() => ({
  list: null,
  signIns: [],
  problem: null,
  busy: new Set(),
  troubles: new Map(),
  removed: null,
}));

const EVERY_MS = 10_000;

/** The newest reading counts: an older one that comes late must not bring back what is gone. */
let reading = 0;

export async function refreshConnections(): Promise<void> {
  reading += 1;
  const mine = reading;
  try {
    const { data, sign_ins } = await listConnections();
    if (mine === reading) useConnections.setState({ list: data, signIns: sign_ins, problem: null });
  } catch (error) {
    if (mine === reading) useConnections.setState({ problem: problemOf(error) });
  }
}

/** Keeps the list fresh, and follows every sign-in that waits, until the returned function is called. */
export function followConnections(): () => void {
  const ended = new AbortController();
  const watched = new Set<string>();
  const watch = async (id: string): Promise<void> => {
    watched.add(id);
    try {
      const { state, mcp_server_url } = await awaitSignIn(id, ended.signal);
      if (state === "done") announce(`Connected to ${hostOf(mcp_server_url)}`);
      if (state === "failed") announce(`The sign-in at ${hostOf(mcp_server_url)} failed`);
    } catch {
      // The engine is away or it was put away elsewhere: the next reading says.
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    watched.delete(id);
    if (!ended.signal.aborted) await refreshConnections();
  };
  const stop = useConnections.subscribe(({ signIns }) => {
    for (const { id, state } of signIns) if (state === "waiting" && !watched.has(id)) void watch(id);
  });
  const refresh = (): void => {
    if (document.visibilityState === "visible") void refreshConnections();
  };
  const timer = setInterval(refresh, EVERY_MS);
  document.addEventListener("visibilitychange", refresh);
  refresh();
  return () => {
    ended.abort();
    stop();
    clearInterval(timer);
    document.removeEventListener("visibilitychange", refresh);
  };
}

/** Does something once at a time; a failure stays beside what it is about until the next try. True when it worked. */
async function attempt(what: string, id: string, action: () => Promise<unknown>): Promise<boolean> {
  const { busy, troubles } = useConnections.getState();
  const name = `${what} ${id}`;
  if (busy.has(name)) return false;
  const cleared = new Map(troubles);
  cleared.delete(id);
  useConnections.setState({ busy: new Set(busy).add(name), troubles: cleared });
  try {
    await action();
    return true;
  } catch (error) {
    const now = useConnections.getState();
    useConnections.setState({ troubles: new Map(now.troubles).set(id, problemOf(error, true)) });
    return false;
  } finally {
    const left = new Set(useConnections.getState().busy);
    left.delete(name);
    useConnections.setState({ busy: left });
    await refreshConnections();
  }
}

/** Begins a sign-in and opens its page. Rejects with a `Problem`. */
export async function connect(params: SignInParams): Promise<void> {
  const signIn = await beginSignIn(params);
  await open(signIn);
  await refreshConnections();
}

/** @param client needed when the last sign-in was made with a client that has a secret */
export function connectAgain(id: string, client: ClientParams | null): Promise<boolean> {
  return attempt("sign in", id, async () => open(await signInAgain(id, client)));
}

export async function open({ authorization_url, mcp_server_url }: SignIn): Promise<void> {
  if (authorization_url !== null && (await openOutside(authorization_url))) {
    announce(`Waiting for your browser to sign in to ${hostOf(mcp_server_url)}`);
  }
}

export function cancel(id: string): Promise<boolean> {
  return attempt("cancel", id, () => cancelSignIn(id));
}

export async function check(connection: Connection): Promise<boolean> {
  return attempt("check", connection.id, async () => {
    const { checked } = await checkConnection(connection.id);
    announce(`${nameOf(connection)}: ${checked?.summary ?? "checked"}`);
  });
}

export function remove(connection: Connection): Promise<boolean> {
  return attempt("remove", connection.id, async () => {
    const { revocation } = await removeConnection(connection.id);
    const name = nameOf(connection);
    useConnections.setState({ removed: { name, message: revocation.message, told: revocation.state === "revoked" } });
    announce(`${name} was removed`);
  });
}

export function dismissRemoved(): void {
  useConnections.setState({ removed: null });
}
