/** A container engine of a test's own, which it may stop, kill and start again without harm to other tests. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findEngine } from "../find_engine.ts";
import { testDockerHost } from "./real_engine.ts";

const START_MS = 30_000;

export interface PrivateEngine {
  /** Address in the form of `DOCKER_HOST`. */
  readonly host: string;
  readonly process: ChildProcess;
  /** Does nothing when it runs. */
  start(): Promise<void>;
  /** Resolves when the process is gone. */
  stop(signal: NodeJS.Signals): Promise<void>;
  /** Ends it and removes all that it has. */
  remove(): Promise<void>;
}

/**
 * @param images that the shared engine has and this one gets
 * @param parent folder that gets everything the engine keeps
 */
export async function privateEngine(images: readonly string[], parent: string = tmpdir()): Promise<PrivateEngine> {
  const dir = await mkdtemp(join(parent, "longhaul-engine-"));
  const host = `unix://${join(dir, "engine.sock")}`;
  let running: ChildProcess | null = null;
  const alive = (): boolean => running !== null && running.exitCode === null && running.signalCode === null;
  const engine: PrivateEngine = {
    host,
    get process() {
      if (running === null) throw new Error("the engine does not run");
      return running;
    },
    start: async () => {
      if (alive()) return;
      const place = ["--data-root", join(dir, "data"), "--exec-root", join(dir, "exec"), "-p", join(dir, "engine.pid")];
      const alone = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"];
      const begin = (): ChildProcess =>
        // In a network of its own: an engine without a bridge removes the one that it finds, which is the machine's.
        spawn("unshare", ["--net", "dockerd", "-H", host, ...place, ...alone, "--log-level", "error"], {
          stdio: "ignore",
        });
      let child = begin();
      const deadline = Date.now() + START_MS;
      for (;;) {
        running = child;
        const answers = await findEngine({ DOCKER_HOST: host }).then(
          () => true,
          () => false,
        );
        if (answers) return;
        if (Date.now() > deadline) throw new Error("the private engine did not start");
        // What a killed engine left may be ending still; the next attempt finds it gone.
        if (child.exitCode !== null) child = begin();
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    stop: async (signal) => {
      const child = running;
      if (child === null || !alive()) return;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill(signal);
      await ended;
    },
    remove: async () => {
      await engine.stop("SIGTERM");
      // An engine that was killed leaves its folder mounted on itself.
      execFileSync("sh", ["-c", 'while umount "$1" 2>/dev/null; do :; done', "sh", join(dir, "data")]);
      await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
  await engine.start();
  for (const image of images) {
    const copy = 'docker -H "$1" save "$3" | docker -H "$2" load';
    execFileSync("sh", ["-c", copy, "sh", testDockerHost(), host, image], { stdio: "ignore" });
  }
  return engine;
}
