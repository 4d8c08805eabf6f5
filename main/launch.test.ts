import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

type OpenElectron = (
  root: string,
  args: string[],
  run: (command: string, args: string[]) => Promise<number>,
  machine: { platform: string; arch: string; env: Record<string, string>; uid: number },
) => Promise<number | null>;
const { openElectron } = (await import(new URL("./launch_electron.mjs", import.meta.url).href)) as {
  openElectron: OpenElectron;
};

/** A builder that counts its runs and makes a command line that prints its arguments. */
const BUILDER = `
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
mkdirSync("out/main", { recursive: true });
appendFileSync("out/builds", "x");
writeFileSync("out/main/cli.js", "console.log(JSON.stringify(process.argv.slice(2)))");
writeFileSync("out/stamp", process.argv[2]);
`;

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "longhaul-launch-"));
  for (const folder of ["main/contract", "renderer", "electron", ".ci", "node_modules/electron/dist"]) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  for (const file of ["launch.mjs", "launch_electron.mjs"])
    cpSync(join(import.meta.dirname, file), join(root, "main", file));
  put("package.json", '{"type":"module"}');
  put("package-lock.json", "{}");
  put(".ci/build.ts", BUILDER);
  put("main/contract/a.ts", "1");
  put("main/a.test.ts", "1");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(file: string, text: string): void {
  writeFileSync(join(root, file), text);
}

function launch(args: string[], env: Record<string, string> = {}) {
  const { PATH = "" } = process.env;
  const result = spawnSync(process.execPath, [join(root, "main/launch.mjs"), ...args], {
    env: { PATH, ...env },
    encoding: "utf8",
    timeout: 20_000,
  });
  return { ...result, builds: buildCount() };
}

function buildCount(): number {
  try {
    return readFileSync(join(root, "out/builds"), "utf8").length;
  } catch {
    return 0;
  }
}

describe("the launcher", () => {
  test("builds once, then runs what is there, quietly", () => {
    expect(launch(["serve", "--json"])).toMatchObject({
      stdout: '["serve","--json"]\n',
      stderr: "",
      status: 0,
      builds: 1,
    });
    expect(launch(["env"])).toMatchObject({ stdout: '["env"]\n', stderr: "", builds: 1 });
    expect(launch(["--build"])).toMatchObject({ stdout: "", builds: 1 });
  });

  test("builds again when a source changed, came or went, and not for a test", () => {
    launch(["--build"]);
    put("main/a.test.ts", "changed");
    expect(launch(["--build"]).builds).toBe(1);
    put("main/contract/b.ts", "new");
    expect(launch(["--build"]).builds).toBe(2);
    rmSync(join(root, "main/contract/b.ts"));
    expect(launch(["--build"]).builds).toBe(3);
    // A file put back from a backup is older than the build and still different.
    utimesSync(join(root, "main/contract/a.ts"), 1, 1);
    expect(launch(["--build"]).builds).toBe(4);
  });

  test("runs the former build when asked not to build", () => {
    launch(["--build"]);
    put("main/contract/a.ts", "changed");
    expect(launch(["x"], { LONGHAUL_NO_BUILD: "1" })).toMatchObject({ stdout: '["x"]\n', builds: 1 });
  });

  test("starts nothing when the sources do not build, and shows why", () => {
    launch(["--build"]);
    put(".ci/build.ts", 'console.error("main/a.ts:3 is broken"); process.exit(1);');
    const { status, stdout, stderr } = launch(["serve"]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain("main/a.ts:3 is broken");
    expect(stderr).toContain("Nothing was started");
  });

  test("an installed package runs from its build without a builder", () => {
    launch(["--build"]);
    rmSync(join(root, ".ci"), { recursive: true });
    rmSync(join(root, "renderer"), { recursive: true });
    expect(launch(["doctor"])).toMatchObject({ stdout: '["doctor"]\n', status: 0 });
    rmSync(join(root, "out"), { recursive: true });
    expect(launch(["doctor"])).toMatchObject({ status: 1, stderr: expect.stringContaining("npm run build") });
  });

  test("start says in one line why Electron is not used and goes on in the browser", () => {
    launch(["--build"]);
    const { stdout, stderr } = launch(["start", "--data-dir", "/d"]);
    expect(stdout).toBe('["start","--data-dir","/d","--browser"]\n');
    expect(stderr).toMatch(/^Electron cannot be used \(.+\): Longhaul opens in the browser instead\.\n$/);
    expect(launch(["start", "--browser"])).toMatchObject({ stdout: '["start","--browser"]\n', stderr: "" });
  });
});

describe("Electron", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
    vi.restoreAllMocks();
  });

  /** Opens Electron on a machine that could show it; returns its exit code, what was run and what was said. */
  async function open(env: Record<string, string> = {}, exitCode = 0, uid = 1000) {
    const said: string[] = [];
    vi.spyOn(process.stderr, "write").mockImplementation((text) => said.push(String(text)) > 0);
    const run = vi.fn(() => Promise.resolve(exitCode));
    const started = Date.now();
    const machine = { platform: "linux", arch: "x64", uid, env: { DISPLAY: ":0", ...env } };
    const code = await openElectron(root, ["--data-dir", "/d"], run, machine);
    return { code, run, said: said.join(""), ms: Date.now() - started };
  }

  function install(): string {
    put("node_modules/electron/package.json", '{"version":"45.4.1"}');
    put("node_modules/electron/path.txt", "electron");
    put("node_modules/electron/dist/electron", "");
    return join(root, "node_modules/electron/dist/electron");
  }

  async function mirror(answer: (url: string) => number | null): Promise<string> {
    const server = createServer((request, response) => {
      const status = answer(request.url ?? "");
      if (status !== null) response.writeHead(status).end();
    });
    servers.push(server);
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  test("runs the installed binary with the project and the flags, and passes its exit code on", async () => {
    const binary = install();
    const { code, run, said } = await open();
    expect(run.mock.calls).toEqual([[binary, [root, "--data-dir", "/d"]]]);
    expect({ code, said }).toEqual({ code: 0, said: "" });
  });

  test("a binary that cannot run here leads to the browser", async () => {
    install();
    const { code, said } = await open({}, 127);
    expect(code).toBeNull();
    expect(said).toContain("exit code 127");
  });

  test("without a display or as root it is not even tried", async () => {
    install();
    expect(await open({ DISPLAY: "" })).toMatchObject({ code: null, said: expect.stringContaining("no display") });
    expect(await open({}, 0, 0)).toMatchObject({ code: null, said: expect.stringContaining("as root") });
  });

  test("a download that is refused, missing or silent is given up within about two seconds", async () => {
    put("node_modules/electron/package.json", '{"version":"45.4.1"}');
    const asked: string[] = [];
    const missing = await mirror((url) => asked.push(url) && 404);
    const silent = await mirror(() => null);
    for (const ELECTRON_MIRROR of ["http://127.0.0.1:1/", missing, silent]) {
      const { code, run, said, ms } = await open({ ELECTRON_MIRROR });
      expect(code).toBeNull();
      expect(run).not.toHaveBeenCalled();
      expect(said).toContain("cannot be reached");
      expect(ms).toBeLessThan(3500);
    }
    expect(asked).toEqual(["/v45.4.1/electron-v45.4.1-linux-x64.zip"]);
  });

  test("a download that can be reached is fetched by Electron's own installer, once", async () => {
    put("node_modules/electron/package.json", '{"version":"45.4.1"}');
    put(
      "node_modules/electron/install.js",
      [
        'const { writeFileSync } = require("node:fs");',
        'writeFileSync(__dirname + "/dist/electron", "");',
        'writeFileSync(__dirname + "/path.txt", "electron");',
      ].join("\n"),
    );
    rmSync(join(root, "package.json"));
    const ELECTRON_MIRROR = await mirror(() => 200);
    const { code, run, said } = await open({ ELECTRON_MIRROR });
    expect({ code, said }).toEqual({ code: 0, said: "Fetching Electron, once …\n" });
    expect(run).toHaveBeenCalledTimes(1);
  });
});
