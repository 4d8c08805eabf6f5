/** The real parts that tests use: which of them this machine has, and how it gets the ones it lacks. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { delimiter, join } from "node:path";

export interface Part {
  name: string;
  /** What was found; null when it is missing. */
  found: string | null;
  /** What is not tested without it. */
  without: string;
  /** How a person gets it. */
  get: string;
}

const root = join(import.meta.dirname, "..");

const CHROMIUM_PATHS = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
];

/** Path of a Chromium that Playwright can drive (`CHROMIUM_PATH` first); null when there is none. */
export function chromiumPath(env: Record<string, string | undefined> = process.env): string | null {
  const asked = env["CHROMIUM_PATH"];
  if (asked !== undefined && asked !== "") return existsSync(asked) ? asked : null;
  return CHROMIUM_PATHS.find((path) => existsSync(path)) ?? null;
}

/** First line that a program prints about its version; null when it does not run. */
function version(program: string): string | null {
  const { status, stdout } = spawnSync(program, ["--version"], { encoding: "utf8", timeout: 20_000 });
  return status === 0 ? (stdout.split("\n")[0]?.trim() ?? null) : null;
}

function electronBinary(): string | null {
  const folder = join(root, "node_modules/electron");
  const pathFile = join(folder, "path.txt");
  if (!existsSync(pathFile)) return null;
  const binary = join(folder, "dist", readFileSync(pathFile, "utf8"));
  return existsSync(binary) ? binary : null;
}

/** Looks at this machine. */
export function findParts(): Part[] {
  const chromium = chromiumPath();
  return [
    {
      name: "machine",
      found: `Node ${process.versions.node}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform}`,
      without: "",
      get: "",
    },
    {
      name: "git",
      found: version("git"),
      without: "sessions on a repository of this disk",
      get: "install git (Debian: apt-get install git)",
    },
    {
      name: "Chromium",
      found: chromium === null ? null : `${version(chromium) ?? "unknown version"} (${chromium})`,
      without: "every e2e spec that looks at the screen",
      get: "install Chromium, or name one in CHROMIUM_PATH (Debian: apt-get install chromium, which npm test does as root)",
    },
    {
      name: "Electron",
      found: electronBinary(),
      without:
        "the shell inside a real Electron; its tests ran against the stand-in, the screen specs in the browser host",
      get: "npx install-electron, where GitHub's releases can be reached",
    },
    {
      name: "keychain",
      found: keychain(),
      without: "stored credentials sealed with a key in a real keychain; their other tests use one in memory",
      get: "install gnome-keyring and dbus-x11 (Debian: apt-get install gnome-keyring dbus-x11, which npm test does as root)",
    },
  ];
}

/** Programs of a Secret Service that the test run can start on a bus of its own, so that nobody's own keyring is touched. */
const KEYCHAIN_PROGRAMS = ["gnome-keyring-daemon", "dbus-run-session", "dbus-send"];

function keychain(): string | null {
  if (process.platform !== "linux" || !KEYCHAIN_PROGRAMS.every((program) => onPath(program))) return null;
  return version("gnome-keyring-daemon") ?? "gnome-keyring";
}

function onPath(program: string): boolean {
  return (process.env["PATH"] ?? "")
    .split(delimiter)
    .some((folder) => folder !== "" && existsSync(join(folder, program)));
}

const PACKAGES: Record<string, readonly string[]> = {
  Chromium: ["chromium"],
  git: ["git"],
  keychain: ["gnome-keyring", "dbus-x11"],
};

/** Program → package, of what it takes to run a container engine and to make its images without a registry. */
const ENGINE_PACKAGES: Record<string, string> = {
  dockerd: "docker.io",
  iptables: "iptables",
  debootstrap: "debootstrap",
  ip: "iproute2",
};

function missingEnginePackages(): string[] {
  const needed = Object.entries(ENGINE_PACKAGES).flatMap(([program, name]) => {
    const folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
    return folders.some((folder) => existsSync(join(folder, program))) ? [] : [name];
  });
  // An ordinary busybox needs libraries, and the image of the tests has nothing else in it.
  const busybox = spawnSync("dpkg", ["-s", "busybox-static"], { encoding: "utf8" }).stdout ?? "";
  return busybox.includes("install ok installed") ? needed : [...needed, "busybox-static"];
}

/** True where packages may be installed without asking: as root on a Debian. */
function mayInstall(): boolean {
  return process.getuid?.() === 0 && existsSync("/etc/debian_version") && existsSync("/usr/bin/apt-get");
}

/** Installs what is missing and can be had, quietly and with a time limit. Says what it does; a failure shows as a missing part. */
export function installMissing(parts: readonly Part[]): void {
  const packages = parts.flatMap((part) => {
    return part.found === null ? (PACKAGES[part.name] ?? []) : [];
  });
  if (!mayInstall()) return;
  packages.push(...missingEnginePackages());
  if (packages.length === 0) return;
  console.log(`Installing ${packages.join(", ")} with apt-get …`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const steps = [
    ["update", "-qq"],
    ["install", "-y", "-qq", "--no-install-recommends", ...packages],
  ];
  for (const step of steps) {
    const { status, stderr } = spawnSync("apt-get", step, {
      env,
      encoding: "utf8",
      timeout: 600_000,
      stdio: ["ignore", "ignore", "pipe"],
    });
    if (status !== 0) console.log(`apt-get ${step[0]} failed: ${stderr.trim().split("\n").at(-1) ?? "no message"}`);
  }
}
