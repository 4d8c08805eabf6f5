/** What people get wrong and what breaks around us: each a clear text that says what is safe and what to do. */
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { startModelServer } from "./model_server/server.ts";
import { cleanEnv, type Product, removeDir, run, serve, tempDir, until } from "./product/serve.ts";
import { createSession, eventsOf, finalMessage, problemsIn, summaryOf, untilRests } from "./product/sessions.ts";
import { taskScript } from "./product/task.ts";

const open: Product[] = [];
afterEach(async () => {
  for (const product of open.splice(0)) {
    await product.stop();
    removeDir(product.data_dir);
  }
});

async function started(...args: Parameters<typeof serve>): Promise<Product> {
  const product = await serve(...args);
  open.push(product);
  return product;
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe("starting", () => {
  test("a second engine on one data directory is refused by name and the first is unharmed", async () => {
    const first = await started();
    const { code, stdout, stderr } = await run(["serve", "--data-dir", first.data_dir, "--json"]);
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain(first.data_dir);
    expect(stderr).toContain(String(first.pid));
    expect((await first.local<{ pid: number }>("/health")).pid).toBe(first.pid);
  });

  test("SIGTERM to `npm run` stops the engine behind it, so that the next start finds the data directory free", async () => {
    const data_dir = tempDir();
    const args = ["run", "--silent", "longhaul", "--", "serve", "--data-dir", data_dir, "--port", "0", "--json"];
    const npm = spawn("npm", args, { env: cleanEnv(), stdio: ["ignore", "pipe", "ignore"] });
    const line = await new Promise<string>((resolve) => npm.stdout.once("data", (chunk) => resolve(String(chunk))));
    const { pid } = JSON.parse(line) as { pid: number };
    npm.kill("SIGTERM");
    await until("the engine to stop", async () => !alive(pid), 10_000);
    const next = await started({ data_dir });
    expect(next.pid).not.toBe(pid);
  });

  test("a port in use", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as { port: number };
    const data_dir = tempDir();
    const { code, stderr } = await run(["serve", "--data-dir", data_dir, "--port", String(port)]);
    taken.close();
    expect(code).toBe(1);
    expect(stderr).toContain(`Port ${port} is in use`);
    expect(stderr).toContain("--port 0");
    removeDir(data_dir);
  });

  test("containers that are demanded and cannot be had are a tool error, not replaced in silence", async () => {
    const model = await startModelServer({ script: taskScript });
    const nowhere = join(tempDir(), "no-engine.sock");
    const product = await serve({ model, env: { LONGHAUL_SANDBOX: "docker", DOCKER_HOST: `unix://${nowhere}` } });
    const id = await createSession(product, { text: "Write the log." });
    await untilRests(product, id);
    const events = await eventsOf(product, id);
    expect(problemsIn(events)).toEqual([]);
    const result = JSON.stringify(events.find(({ event }) => event.type === "agent.tool_result")?.event);
    expect(result).toContain(nowhere);
    expect(result).toContain("embedded");
    expect((await summaryOf(product, id)).fold.sandbox).toMatchObject({ state: "lost", made: false });
    await product.stop();
    await model.close();
    removeDir(product.data_dir);
  });

  test("a data directory that cannot be", async () => {
    const dir = tempDir();
    const file = join(dir, "file");
    writeFileSync(file, "not a folder");
    const { code, stderr } = await run(["serve", "--data-dir", join(file, "data")]);
    expect(code).not.toBe(0);
    expect(stderr).toContain(join(file, "data"));
    expect(stderr).toContain("--data-dir");
    removeDir(dir);
  });

  test.each([
    ["a foreign file", Buffer.from("This is a letter to my aunt, not a database. ".repeat(200))],
    ["a torn header", Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(5_000, 0xa5)])],
  ])("%s where the ledger should be: refused, and not touched", async (_name, bytes) => {
    const data_dir = tempDir();
    mkdirSync(data_dir, { recursive: true });
    writeFileSync(join(data_dir, "ledger.db"), bytes);
    const { code, stderr } = await run(["serve", "--data-dir", data_dir]);
    expect(code).toBe(1);
    expect(stderr).toContain("ledger.db");
    expect(readFileSync(join(data_dir, "ledger.db")).equals(bytes)).toBe(true);
    removeDir(data_dir);
  });

  test.each([
    [["serve", "--prot", "1"], "--port"],
    [["serve", "--port", "99999"], "port"],
    [["rnu", "x"], "run"],
  ])("%j is a usage error that says what was meant", async (args, hint) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(hint);
  });
});

describe("a model endpoint", () => {
  test("that is down: the session waits and says why; when it is up the session goes on by itself", async () => {
    const probe = await startModelServer({ script: [] });
    const port = Number(new URL(probe.url).port);
    await probe.close();
    const product = await started({ model: { url: probe.url, apiKey: probe.apiKey } });
    const id = await createSession(product, { text: "Hello?" });
    const waiting = await until("a planned retry", async () => {
      const summary = await summaryOf(product, id);
      return summary.fold.retry === null ? null : summary;
    });
    expect(waiting.fold.error?.message).toContain(`127.0.0.1:${port}`);
    expect(waiting.fold.retry?.waits_for_network).toBe(true);
    const model = await startModelServer({
      script: [{ content: [{ type: "text", text: "Now I am here." }] }],
      port,
      apiKey: probe.apiKey,
    });
    await product.local(`/sessions/${id}/wake`, { method: "POST", body: JSON.stringify({ reason: "user" }) });
    await untilRests(product, id);
    expect(finalMessage(await eventsOf(product, id))).toBe("Now I am here.");
    await model.close();
  });

  test("that is slow, then answers garbage, then works: one answer, nothing lost", async () => {
    const model = await startModelServer({
      script: [
        { status: 200, body: "<html>welcome to the hotel wifi</html>" },
        { content: [{ type: "text", text: "half" }], fault: { after: 3, kind: "reset" } },
        { content: [{ type: "text", text: "Whole." }], first_byte_ms: 1_500 },
      ],
    });
    const product = await started({ model });
    const id = await createSession(product, { text: "Hello." });
    await untilRests(product, id);
    const events = await eventsOf(product, id);
    expect(problemsIn(events)).toEqual([]);
    expect(events.filter(({ event }) => event.type === "agent.message")).toHaveLength(1);
    expect(finalMessage(events)).toBe("Whole.");
    await model.close();
  });

  test("that refuses the key: said once, with what to do, and Resume works after it was mended", async () => {
    const model = await startModelServer({ script: [{ content: [{ type: "text", text: "In." }] }], apiKey: "right" });
    const wrong = await serve({ model: { url: model.url, apiKey: "wrong" } });
    const id = await createSession(wrong, { text: "Hello." });
    const rested = await untilRests(wrong, id);
    expect(rested.work).toBe("stopped");
    expect(model.requests).toHaveLength(1);
    expect(JSON.stringify(await eventsOf(wrong, id))).not.toContain('"wrong"');
    await wrong.stop();

    const mended = await started({ data_dir: wrong.data_dir, model: { url: model.url, apiKey: "right" } });
    await mended.local(`/sessions/${id}/wake`, { method: "POST", body: JSON.stringify({ reason: "user" }) });
    await untilRests(mended, id);
    expect(finalMessage(await eventsOf(mended, id))).toBe("In.");
    await model.close();
  });
});

test("P4: the model key is in the broker and nowhere else", async () => {
  const key = "sk-ant-canary-0123456789abcdef";
  const model = await startModelServer({ script: [{ content: [{ type: "text", text: "Hi." }] }], apiKey: key });
  const product = await started({ model });
  const id = await createSession(product, { text: "Hello." });
  await untilRests(product, id);
  const environment = readFileSync(`/proc/${product.pid}/environ`, "latin1");
  expect(environment).not.toContain(key);
  const supervisor = readFileSync(`/proc/${product.child.pid}/environ`, "latin1");
  // The supervisor was started with the key in its environment; the engine must not inherit it.
  expect(supervisor).toContain(key);
  expect(JSON.stringify(await eventsOf(product, id))).not.toContain(key);
  expect(JSON.stringify(await product.local("/health"))).not.toContain(key);
  expect(product.stderr()).not.toContain(key);
  expect(readFileSync(join(product.data_dir, "ledger.db"), "latin1")).not.toContain(key);
  await model.close();
});
