/** Finds, fetches and runs Electron for `npm start`; says in one line why not when the browser must do. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const PROBE_MS = 2000;
const FETCH_MS = 300_000;
/** An Electron that cannot run here (missing libraries, no display server) ends within this time. */
const EARLY_MS = 5000;

/** Why Electron cannot open a window on this machine, whatever is installed; null when it can. */
function cannotRun({ platform, env, uid }) {
  if (platform === "linux" && !env.DISPLAY && !env.WAYLAND_DISPLAY) return "there is no display";
  if (platform === "linux" && uid === 0) return "Chromium's sandbox does not run as root";
  return null;
}

/** Path of the Electron program in `folder` (the installed package); null when its binary was never fetched. */
function binaryIn(folder) {
  const pathFile = join(folder, "path.txt");
  if (!existsSync(pathFile)) return null;
  const binary = join(folder, "dist", readFileSync(pathFile, "utf8"));
  return existsSync(binary) ? binary : null;
}

/** Where the binary of this version is downloaded from; the mirror variables are those of Electron's own installer. */
function downloadUrl(version, { platform, arch, env }) {
  const mirror =
    env.npm_config_electron_mirror || env.ELECTRON_MIRROR || "https://github.com/electron/electron/releases/download/";
  return `${mirror}v${version}/electron-v${version}-${platform}-${arch}.zip`;
}

async function isReachable(url) {
  try {
    const response = await fetch(url, { method: "HEAD", signal: AbortSignal.timeout(PROBE_MS) });
    return response.ok;
  } catch {
    return false;
  }
}

/** Runs Electron's own installer; true when it put a binary in place. */
function fetchBinary(folder) {
  process.stderr.write("Fetching Electron, once …\n");
  return new Promise((done) => {
    const child = spawn(process.execPath, [join(folder, "install.js")], { stdio: "ignore", timeout: FETCH_MS });
    child.on("error", () => done(false));
    child.on("close", (code) => done(code === 0));
  });
}

/** The program to run, or the reason why there is none. */
async function findElectron(folder, machine) {
  const reason = cannotRun(machine);
  if (reason !== null) return { reason };
  if (!existsSync(join(folder, "package.json"))) return { reason: "it is not installed" };
  const installed = binaryIn(folder);
  if (installed !== null) return { binary: installed };
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  if (!(await isReachable(downloadUrl(version, machine)))) {
    return { reason: "its download cannot be reached" };
  }
  const fetched = (await fetchBinary(folder)) ? binaryIn(folder) : null;
  return fetched === null ? { reason: "its download failed" } : { binary: fetched };
}

/** What of this machine decides whether Electron runs. */
function thisMachine() {
  return { platform: process.platform, arch: process.arch, env: process.env, uid: process.getuid?.() };
}

/**
 * Opens the app in Electron and waits for its end.
 * @param run runs a program with this terminal and resolves with its exit code
 * @returns the exit code, or null when Electron cannot run here and the browser must do
 */
export async function openElectron(root, args, run, machine = thisMachine()) {
  const found = await findElectron(join(root, "node_modules/electron"), machine);
  let reason = found.reason;
  if (found.binary !== undefined) {
    const started = Date.now();
    const code = await run(found.binary, [root, ...args]);
    if (code === 0 || Date.now() - started > EARLY_MS) return code;
    reason = `it ended at once with exit code ${code}`;
  }
  process.stderr.write(`Electron cannot be used (${reason}): Longhaul opens in the browser instead.\n`);
  return null;
}
