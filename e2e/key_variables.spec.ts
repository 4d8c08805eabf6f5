/** Keys that a person puts into the environment are in no process that does not need them, and on no command line. */
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, say } from "./model_server/script.ts";
import { type ModelServer, startModelServer } from "./model_server/server.ts";
import { type Product, removeDir, serve, tempDir } from "./product/serve.ts";
import { createSession, eventsOf, finalMessage, untilRests } from "./product/sessions.ts";

/** Every variable with a key that Longhaul or its model endpoints know, and names that others use. */
const CANARIES: Record<string, string> = {
  ANTHROPIC_AUTH_TOKEN: "canary-auth-token",
  ANTHROPIC_CUSTOM_HEADERS: "x-canary-headers: 1",
  ANTHROPIC_BEDROCK_API_KEY: "canary-bedrock",
  anthropic_api_key: "canary-lower-case",
  LONGHAUL_VAULT_PASSPHRASE: "canary passphrase",
  OPENAI_API_KEY: "canary-openai",
  GITHUB_TOKEN: "canary-github",
  AWS_SECRET_ACCESS_KEY: "canary-aws",
  NPM_TOKEN: "canary-npm",
};
const KEY = "canary-api-key";

let model: ModelServer;
let product: Product;
const data_dir = tempDir();
beforeAll(async () => {
  // The sandbox's host stays after the call; the session's own commands see what it sees.
  const script = ({ turn, results }: { turn: number; results: Map<string, { text: string }> }) => {
    if (turn > 0) return say([...results.values()].map(({ text }) => text).join("\n"));
    return call({ name: "bash", input: { command: "env; export" } });
  };
  model = await startModelServer({ script, apiKey: KEY });
  product = await serve({ data_dir, model: { url: model.url, apiKey: KEY }, env: CANARIES });
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(data_dir);
});

interface Process {
  pid: number;
  parent: number;
  command: string;
  environ: string;
}

function processes(): Process[] {
  const all: Process[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const read = (file: string): string => readFileSync(`/proc/${name}/${file}`, "latin1");
      const parent = Number(/^PPid:\s*(\d+)$/m.exec(read("status"))?.[1]);
      all.push({ pid: Number(name), parent, command: read("cmdline"), environ: read("environ") });
    } catch {
      // It ended while it was looked at, or is somebody else's.
    }
  }
  return all;
}

test.runIf(process.platform === "linux")(
  "engine, broker, sandbox host and the commands of a session have none of them",
  { timeout: 120_000 },
  async () => {
    const id = await createSession(product, { text: "Show your environment." });
    await untilRests(product, id);
    const said = finalMessage(await eventsOf(product, id));
    expect(said).toMatch(/PATH=/);
    const all = processes();
    const engine = all.find(({ pid }) => pid === product.pid);
    const broker = all.find(({ pid }) => pid === product.broker_pid);
    const hosts = all.filter(({ command }) => command.includes("sandbox_host") && command.includes(data_dir));
    expect(hosts.length).toBeGreaterThan(0);
    const secrets = [...Object.values(CANARIES), KEY];
    // The search itself finds them where the person put them: in the process that was started with them.
    const parent = all.find(({ pid }) => pid === product.child.pid);
    for (const secret of secrets) expect(parent?.environ).toContain(secret);
    for (const [what, each] of [["engine", engine] as const, ...hosts.map((host) => ["host", host] as const)]) {
      expect(each?.environ, what).toContain("PATH=");
      for (const secret of secrets) expect(each?.environ, what).not.toContain(secret);
    }
    // The broker gets the model's in its boot message; other programs' variables are not its business to hide.
    const boot = Object.entries(CANARIES).filter(([name]) => /^(anthropic|longhaul)_/i.test(name));
    for (const [name, secret] of boot) expect(broker?.environ, name).not.toContain(secret);
    expect(broker?.environ).not.toContain(KEY);
    for (const secret of secrets) {
      expect(said).not.toContain(secret);
      for (const { command } of all) expect(command).not.toContain(secret);
    }
  },
);
