/** Probes from inside a container: everything is refused or contained, and the session's sandbox goes on. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Hand, SandboxProvider } from "../../port.ts";
import { failureOf, newCallId, provisionRequest, runTool } from "../../testing/bench.ts";
import { type Install, newInstall } from "../testing/install.ts";
import { PATH_PROBES, PROBES } from "./probes.ts";

let install: Install;
let provider: SandboxProvider;
let hand: Hand;

const limited = (id: string) =>
  provisionRequest(id, {
    environment: {
      id: "env_limited",
      name: "limited",
      config: {
        type: "cloud",
        networking: { type: "limited", allowed_hosts: [], allow_mcp_servers: false, allow_package_managers: false },
        packages: { apt: [], cargo: [], gem: [], go: [], npm: [], pip: [], type: "packages" },
      },
    },
  });

/** Output of a command, whether it fails or not. */
async function out(command: string, more: { timeout_ms?: number } = {}): Promise<string> {
  try {
    return await runTool(hand, "bash", { command, ...more });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

beforeAll(async () => {
  install = await newInstall();
  provider = install.open();
  ({ hand } = await provider.provision(limited("sesn_probes")));
});
afterAll(() => install.remove());

describe("from inside a container", () => {
  test.each(PROBES.map((probe) => [probe.name, probe] as const))("%s", async (_name, probe) => {
    const text = await out(probe.command);
    expect(text).toMatch(probe.shows);
    if (probe.never !== undefined) expect(text).not.toMatch(probe.never);
  });

  test("a fork bomb ends with its call, and the sandbox goes on", async () => {
    const text = await out("bomb() { bomb | bomb & }; bomb; sleep 5", { timeout_ms: 2000 });
    expect(text).toMatch(/timed out|terminated|Resource temporarily unavailable|fork/);
    expect(await runTool(hand, "bash", { command: "echo alive" })).toBe("alive");
    // Mostly two seconds. Once in a while the bomb refills the process table for a minute or two while it is being stopped.
  }, 400_000);

  test("killing everything that it may kill leaves a sandbox that goes on", async () => {
    await out("echo kept > kept.txt; kill -9 -1; sleep 5", { timeout_ms: 10_000 });
    expect(await runTool(hand, "bash", { command: "cat /workspace/kept.txt" })).toMatch(/kept$/);
  });

  test("spoiling the runner's own files harms nobody else, and is survived", async () => {
    const spoiled = await provider.provision(limited("sesn_spoiled"));
    await runTool(spoiled.hand, "bash", { command: "rm -rf /var/lib/longhaul/* 2>/dev/null; echo gone" }).catch(
      () => "",
    );
    expect(await runTool(spoiled.hand, "bash", { command: "echo back" })).toBe("back");
    expect(await runTool(hand, "bash", { command: "echo alive" })).toBe("alive");
    await provider.destroy("sesn_spoiled");
  });

  test("a sandbox without network has one interface and no way to a name", async () => {
    expect(await out("ls /sys/class/net")).toBe("lo");
    expect(await out("getent hosts example.com; echo code $?")).toBe("code 2");
    expect(
      await out("python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 2)' 2>&1 | tail -1"),
    ).toMatch(/Network is unreachable/);
  });
});

describe("the file tools refuse", () => {
  test.each(PATH_PROBES.map((probe) => [probe.name, probe] as const))("%s", async (_name, { prepare, path }) => {
    await out(`cd /workspace; ${prepare}`);
    const attempts: [string, object][] = [
      ["read", { file_path: path }],
      ["write", { file_path: path, content: "spoiled" }],
      ["edit", { file_path: path, old_string: "root", new_string: "toor" }],
    ];
    for (const [name, input] of attempts) {
      const text = await failureOf(runTool(hand, name, input, newCallId()));
      expect(text).not.toMatch(/root:x:0/);
    }
    expect(await out("grep -c spoiled /etc/passwd")).toBe("0");
  });

  test("a pipe that nobody writes to, without waiting for ever", async () => {
    await out("cd /workspace; mkfifo pipe");
    expect(await failureOf(runTool(hand, "read", { file_path: "pipe" }))).toMatch(/not a regular file/);
    expect(await failureOf(runTool(hand, "edit", { file_path: "pipe", old_string: "a", new_string: "b" }))).toMatch(
      /not a regular file/,
    );
  });
});
