/** The reference server with everything, as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";

const running: ChildProcess[] = [];

export function stopEverything(): void {
  for (const child of running.splice(0)) child.kill("SIGKILL");
}

/** @returns its address, when it listens; `kill` ends it without a word */
export async function everythingServer(
  port?: number,
): Promise<{ url: string; port: number; kill: () => Promise<void> }> {
  const chosen = port ?? (await freePort());
  const require = createRequire(import.meta.url);
  const program = require.resolve("@modelcontextprotocol/server-everything/dist/index.js");
  const child = spawn(process.execPath, [program, "streamableHttp"], {
    env: { PATH: process.env.PATH, PORT: String(chosen) },
    stdio: ["ignore", "ignore", "pipe"],
  });
  running.push(child);
  const exited = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let said = "";
    child.stderr?.on("data", (chunk) => {
      said += String(chunk);
      if (said.includes("listening on port")) resolve();
    });
    child.on("exit", (code) => reject(new Error(`server-everything ended with code ${code}: ${said}`)));
  });
  return {
    url: `http://127.0.0.1:${chosen}/mcp`,
    port: chosen,
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
