/** A dockerd of the tests' own beside whatever runs on the machine: own data, socket, bridge and containerd. Needs root on Linux. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import { readFirewall, removeOwn, restoreOthers } from "./firewall.ts";

/** What is to be kept from run to run: the images. */
const ENGINE_FOLDER = "engine";
const START_MS = 60_000;
const STOP_MS = 20_000;
/** `flock` ends with this when another run has the folder. */
const TAKEN = 75;

export interface Daemon {
  /** In the form of `DOCKER_HOST`. */
  host: string;
  docker: Docker;
  /** Removes what tests left in it, ends it and takes its bridge and rules away. Idempotent. */
  stop(): Promise<void>;
}

class Taken extends Error {
  override readonly name = "Taken";
}

/**
 * Starts it on the images of the last run. When another run uses those, or they are damaged, on an empty folder that goes
 * away at the end. Rejects with an Error that holds the end of the daemon's log.
 */
export async function startDaemon(cache: string): Promise<Daemon> {
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  sweep(tmpdir(), "lh-engine-");
  sweep("/var/tmp", "longhaul-engine-");
  const kept = join(cache, ENGINE_FOLDER);
  try {
    return await start(kept, 0, cache);
  } catch (error) {
    const fresh = mkdtempSync("/var/tmp/longhaul-engine-");
    const daemon = await start(fresh, 1 + (process.pid % 200), cache).catch((second: unknown) => {
      rmSync(fresh, { recursive: true, force: true });
      throw second;
    });
    if (!(error instanceof Taken)) {
      console.log(
        `The container engine did not start on the images of the last run; they are made again: ${String(error)}`,
      );
      rmSync(kept, { recursive: true, force: true });
    }
    const stop = daemon.stop;
    return { ...daemon, stop: () => stop().finally(() => rmSync(fresh, { recursive: true, force: true })) };
  }
}

async function start(dataRoot: string, index: number, cache: string): Promise<Daemon> {
  // Short, because the paths of sockets below it have a limit of about 100 characters.
  const folder = mkdtempSync(join(tmpdir(), "lh-engine-"));
  const bridge = `lhtest${index}`;
  const firewall = readFirewall();
  const process = launch(folder, dataRoot, bridge, index, join(cache, `engine-${index}.lock`));
  const docker = new Docker({ socketPath: join(folder, "docker.sock") });
  let stopping: Promise<void> | null = null;
  const tidy = (): void => {
    // Then the bridge is another run's.
    if (process.exitCode === TAKEN) return;
    removeOwn(firewall, [bridge], !otherDaemonRuns(process.pid));
    spawnSync("ip", ["link", "delete", bridge], { timeout: 10_000 });
  };
  const stop = (): Promise<void> => {
    stopping ??= stopAll(process, docker, folder, tidy);
    return stopping;
  };
  try {
    await answered(process, docker, join(folder, "log"));
  } catch (error) {
    await stop();
    throw error;
  }
  restoreOthers(firewall);
  return { host: `unix://${join(folder, "docker.sock")}`, docker, stop };
}

/** Behind the lock: the bridge of a run that goes on must not be touched. One that a killed run left is taken over. */
const MAKE_BRIDGE = `
[ -e "/sys/class/net/$1" ] || ip link add "$1" type bridge || exit
ip address replace "$2" dev "$1" && ip link set "$1" up || exit
shift 2
exec "$@"`;

/**
 * One process after all: each of these programs becomes the next. The lock is held as long as dockerd or its containerd
 * lives; when this process dies in whatever way, dockerd gets SIGTERM; and its mounts are visible to it alone, so none stays.
 */
function launch(folder: string, dataRoot: string, bridge: string, index: number, lock: string): ChildProcess {
  // The machine's own settings in /etc/docker must not apply.
  writeFileSync(join(folder, "daemon.json"), "{}");
  const log = openSync(join(folder, "log"), "a");
  const dockerd = [
    "dockerd",
    `--config-file=${join(folder, "daemon.json")}`,
    `--data-root=${dataRoot}`,
    `--exec-root=${join(folder, "run")}`,
    `--pidfile=${join(folder, "pid")}`,
    `--host=unix://${join(folder, "docker.sock")}`,
    `--bridge=${bridge}`,
    "--default-address-pool=base=10.212.0.0/14,size=24",
    "--userland-proxy=false",
    "--shutdown-timeout=5",
    "--log-level=warn",
  ];
  const chain = [
    ...["flock", "--no-fork", "--nonblock", `--conflict-exit-code=${TAKEN}`, lock],
    ...["sh", "-c", MAKE_BRIDGE, "bridge", bridge, `10.211.${index}.1/24`],
    ...["setpriv", "--pdeathsig", "TERM"],
    ...["unshare", "--mount"],
    ...dockerd,
  ];
  // A group of its own: Ctrl-C is for this process, which then ends dockerd in order.
  return spawn(chain[0] ?? "", chain.slice(1), { detached: true, stdio: ["ignore", log, log] });
}

/** Resolves when it answers; rejects when it ended or stays silent. */
async function answered(process: ChildProcess, docker: Docker, log: string): Promise<void> {
  let spawnError: Error | null = null;
  process.once("error", (error) => {
    spawnError = error;
  });
  const until = Date.now() + START_MS;
  while (Date.now() < until && spawnError === null && process.exitCode === null && process.signalCode === null) {
    if (await docker.ping().catch(() => null)) return;
    await sleep(100);
  }
  if (process.exitCode === TAKEN) throw new Taken("another test run uses the engine's folder");
  const tail = readFileSync(log, "utf8").trim().split("\n").slice(-5).join("\n");
  throw new Error(
    `dockerd ${process.exitCode === null ? "did not answer" : `ended with ${process.exitCode}`}: ${spawnError ?? tail}`,
  );
}

async function stopAll(process: ChildProcess, docker: Docker, folder: string, tidy: () => void): Promise<void> {
  const running = (): boolean => process.pid !== undefined && process.exitCode === null && process.signalCode === null;
  if (running()) {
    await Promise.race([removeLeftovers(docker), sleep(STOP_MS, undefined, { ref: false })]).catch((error: unknown) =>
      console.log(`The test engine could not be emptied: ${String(error)}`),
    );
  }
  if (running()) {
    const ended = new Promise<void>((resolve) => process.once("exit", () => resolve()));
    process.kill("SIGTERM");
    const inTime = await Promise.race([ended.then(() => true), sleep(STOP_MS, false, { ref: false })]);
    if (!inTime) {
      process.kill("SIGKILL");
      await ended;
    }
  }
  endRemains(folder);
  tidy();
  rmSync(folder, { recursive: true, force: true });
}

/** Containers and networks of tests that were cut off, and all images but those that are made once for many runs. */
async function removeLeftovers(docker: Docker): Promise<void> {
  const containers = await docker.listContainers({ all: true });
  await Promise.allSettled(containers.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  await docker.pruneNetworks({});
  for (const { Id, RepoTags } of await docker.listImages({})) {
    const kept = (RepoTags ?? []).some((tag) => /^longhaul-(sandbox|busybox|no-shell):/.test(tag));
    // An image below another one cannot go before it; it does in the next run.
    if (!kept)
      await docker
        .getImage(Id)
        .remove({ force: true })
        .catch(() => undefined);
  }
}

/** Kills what a killed dockerd leaves: its containerd, and the shims with the containers, known by their folder. */
function endRemains(folder: string): void {
  for (const pid of processes()) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (/^\S*(containerd|containerd-shim\S*|docker-proxy)\0/.test(command) && command.includes(`${folder}/`)) {
        globalThis.process.kill(Number(pid), "SIGKILL");
      }
    } catch (error) {
      // It ended in the meantime.
      if (!["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
}

/** Removes folders of runs that were killed: a minute old, and in no running program's arguments. */
function sweep(parent: string, prefix: string): void {
  const commands = processes().map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8");
    } catch {
      return "";
    }
  });
  for (const name of readdirSync(parent).filter((entry) => entry.startsWith(prefix))) {
    const folder = join(parent, name);
    const isOld = Date.now() - statSync(folder).mtimeMs > 60_000;
    if (isOld && !commands.some((command) => command.includes(folder)))
      rmSync(folder, { recursive: true, force: true });
  }
}

function processes(): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
}

function otherDaemonRuns(own: number | undefined): boolean {
  return processes().some((pid) => {
    if (Number(pid) === own) return false;
    try {
      return readlinkSync(`/proc/${pid}/exe`).endsWith("/dockerd");
    } catch {
      return false;
    }
  });
}

/** True where {@link startDaemon} has what it needs. */
export function canStartDaemon(): boolean {
  const programs = ["dockerd", "containerd", "flock", "setpriv", "unshare", "ip", "iptables"];
  const folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
  const has = (program: string): boolean => folders.some((folder) => existsSync(join(folder, program)));
  return process.platform === "linux" && process.getuid?.() === 0 && programs.every(has);
}
