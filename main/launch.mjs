/**
 * Starts Longhaul from a checkout or an installed package: brings `out/` up to date if the sources changed, then runs
 * the command line in this process, or opens Electron for `start`. Plain JavaScript that also an old Node can parse,
 * because its first task may be to find a newer one.
 *
 *   node main/launch.mjs --build     only brings out/ up to date
 *   LONGHAUL_NO_BUILD=1              runs out/ as it is (tests, while sources change under them)
 */
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const cli = join(root, "out/main/cli.js");
const builder = join(root, ".ci/build.ts");

/** `start` with one of these is for the command line; otherwise Electron is tried first. */
const STAYS_WITH_CLI = ["--browser", "--no-browser", "--help", "-h"];

/** What decides whether `out/` is current: path, size and time of every file that goes into it. */
function sourceStamp() {
  const lines = [];
  const visit = (path) => {
    for (const entry of readdirSync(join(root, path), { withFileTypes: true })) {
      const file = `${path}/${entry.name}`;
      if (entry.isDirectory()) visit(file);
      else if (!/\.test\.tsx?$/.test(entry.name)) line(file);
    }
  };
  const line = (file) => {
    const { size, mtimeMs } = statSync(join(root, file));
    lines.push(`${file} ${size} ${mtimeMs}`);
  };
  for (const folder of ["main", "renderer", "electron"]) visit(folder);
  for (const file of [".ci/build.ts", "package.json", "package-lock.json"]) line(file);
  return lines.sort().join("\n");
}

/** True when `out/` was built from exactly these sources. */
function isCurrent(stamp) {
  const path = join(root, "out/stamp");
  return existsSync(path) && readFileSync(path, "utf8") === stamp;
}

/** Runs a program with this terminal; resolves with its exit code (128 + signal number is reported as 1). */
function run(command, args, env = process.env) {
  return new Promise((done) => {
    const child = spawn(command, args, { stdio: "inherit", env, cwd: process.cwd() });
    const forward = (signal) => child.kill(signal);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, forward);
    child.on("error", () => done(127));
    child.on("close", (code, signal) => {
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.off(name, forward);
      done(code ?? (signal === "SIGTERM" || signal === "SIGINT" ? 0 : 1));
    });
  });
}

/** Builds in a process of its own, so that the builder's memory is not carried by the product. Quiet unless slow or failing. */
async function build(stamp) {
  const started = Date.now();
  let announced = false;
  const announce = setTimeout(() => {
    announced = true;
    process.stderr.write("Building Longhaul, its sources are new or have changed …\n");
  }, 1000);
  const ok = await new Promise((done) => {
    const child = spawn(process.execPath, [builder, stamp], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("error", (error) => done(void process.stderr.write(`${error}\n`)));
    child.on("close", (code) => {
      if (code !== 0) process.stderr.write(output);
      done(code === 0);
    });
  });
  clearTimeout(announce);
  if (!ok) {
    process.stderr.write("Longhaul could not be built: the messages above say where. Nothing was started.\n");
    process.exit(1);
  }
  if (announced) process.stderr.write(`Built in ${((Date.now() - started) / 1000).toFixed(1)} s.\n`);
}

/** True for a Node that runs TypeScript by itself and that the native packages are made for. */
function isNodeNewEnough(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 18);
}

async function main() {
  const args = process.argv.slice(2);
  if (!isNodeNewEnough(process.versions.node)) {
    const own = join(root, "node_modules/.bin/node");
    if (!existsSync(own) || process.env.LONGHAUL_NODE_TRIED === "1") {
      process.stderr.write(
        `Longhaul needs Node 22.18 or newer; this is ${process.versions.node}. Run \`npm ci\`, which brings one.\n`,
      );
      process.exit(1);
    }
    const env = { ...process.env, LONGHAUL_NODE_TRIED: "1" };
    process.exit(await run(own, [fileURLToPath(import.meta.url), ...args], env));
  }
  // An installed package has no builder: its out/ came with it.
  if (existsSync(builder) && process.env.LONGHAUL_NO_BUILD !== "1") {
    const stamp = sourceStamp();
    if (!isCurrent(stamp)) await build(stamp);
  }
  if (args[0] === "--build") return;
  if (!existsSync(cli)) {
    process.stderr.write("Longhaul is not built: out/main/cli.js is missing. Run `npm run build`.\n");
    process.exit(1);
  }
  if (args[0] === "start" && !args.some((arg) => STAYS_WITH_CLI.includes(arg))) {
    const { openElectron } = await import("./launch_electron.mjs");
    const code = await openElectron(root, args.slice(1), run);
    if (code !== null) process.exit(code);
    args.push("--browser");
  }
  // Compiled code is kept beside the build; child processes inherit the folder. Without write access it is just slower.
  const cache = module.enableCompileCache(join(root, "out/cache"));
  if (cache.directory !== undefined) process.env.NODE_COMPILE_CACHE = join(root, "out/cache");
  process.argv = [process.argv[0], cli, ...args];
  await import(cli);
}

await main();
