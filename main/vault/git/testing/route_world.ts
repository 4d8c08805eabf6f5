/** What tests of the git route begin with: a server with a fresh repository, a broker, and a client's folder. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from "vitest";
import { stopBrokers } from "../../testing/broker_client.ts";
import { type GitServer, gitServer } from "./git_server.ts";
import { type GitRig, gitRig, type Ran } from "./rig.ts";

export const TOKEN = "tok_5f2c9e81d04b7a63";

export interface RouteWorld {
  server: GitServer;
  rig: GitRig;
  /** Of the test's own repository, with its owner. */
  name: string;
  url: string;
  /** A clone in `w` with one commit more, on the session's branch. */
  cloned(): Promise<void>;
  commit(file: string, message: string): Promise<void>;
  push(...args: string[]): Promise<Ran>;
  /** The commit that a ref of the server names; default: the session's branch. */
  tip(ref?: string): string;
}

/** Registers the hooks that make one for each test of the file, and hands it to `take`. */
export function eachWorld(take: (world: RouteWorld) => void): void {
  // Dozens of programs are run one after the other.
  vi.setConfig({ testTimeout: 60_000 });
  let server: GitServer;
  let rig: GitRig;
  let turn = 0;
  beforeAll(async () => {
    server = await gitServer();
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    rig = await gitRig();
    const name = `owner/repo${turn++}`;
    server.make(name);
    server.accounts = [`*:${TOKEN}`];
    server.intercept = () => false;
    server.requests = [];
    take(worldOf(server, rig, name));
  });
  afterEach(async () => {
    await stopBrokers();
    rig.remove();
  });
}

function worldOf(server: GitServer, rig: GitRig, name: string): RouteWorld {
  const url = `${server.url}/${name}`;
  const commit = async (file: string, message: string): Promise<void> => {
    writeFileSync(join(rig.folder, "w", file), `${message}\n`);
    await rig.git("w", ["add", "."]);
    expect((await rig.git("w", ["commit", "-q", "-m", message])).code).toBe(0);
  };
  return {
    server,
    rig,
    name,
    url,
    commit,
    cloned: async () => {
      expect(await rig.git("", ["clone", "-q", rig.route(url), "w"])).toEqual({ code: 0, text: "" });
      await rig.git("w", ["checkout", "-q", "-b", rig.branch]);
      await commit("b.txt", "second");
    },
    push: (...args) => rig.git("w", ["push", "origin", ...args]),
    tip: (ref = rig.ref) => server.git(name, "for-each-ref", "--format=%(objectname)", ref),
  };
}
