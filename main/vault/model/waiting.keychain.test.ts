/** Sessions whose model key is in a real keychain: they wait while it is locked and go on by themselves. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { call, type Reply, type ScriptRequest, say } from "../../../e2e/model_server/script.ts";
import { type ModelServer, startModelServer } from "../../../e2e/model_server/server.ts";
import { randomFrom, seed } from "../../../e2e/product/random.ts";
import { type Product, serve, until } from "../../../e2e/product/serve.ts";
import {
  createSession,
  eventsOf,
  finalMessage,
  problemsIn,
  summaryOf,
  untilRests,
} from "../../../e2e/product/sessions.ts";
import type { ModelSettings } from "../../contract/vaults/settings.ts";
import { BrokerModel } from "../../harness/broker_model.ts";
import { of, startRig } from "../../orchestration/testing/rig.ts";
import { systemKeys } from "../sealed/open_store.ts";
import { lockKeyring, unlockKeyring } from "../sealed/testing/secret_service.ts";
import { LAUNCH_SECRET, stopBrokers, testBroker } from "../testing/broker_client.ts";

const KEY = "sk-canary-keychain-41";
const STEPS = 6;

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  await stopBrokers();
  await unlockKeyring();
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "longhaul-waiting-"));
  cleanUps.push(async () => rmSync(path, { recursive: true, force: true, maxRetries: 3 }));
  return path;
}

/** By the number of turns before: a request that is made again gets the same answer. */
function steps({ turn }: ScriptRequest): Reply {
  if (turn >= STEPS) return say("All steps done.");
  return { ...call({ name: "bash", input: { command: `echo ${turn} >> steps.txt; sleep 0.1` } }), first_byte_ms: 50 };
}

/** Requests that came without the key, or with anything else in its place. */
const unauthenticated = (model: ModelServer) => model.requests.filter(({ headers }) => headers["x-api-key"] !== KEY);

test.runIf(process.platform === "linux")(
  "locked while sessions run: they wait, burn no attempts, and go on",
  {
    timeout: 120_000,
  },
  async () => {
    let seen = 0;
    const script = (request: ScriptRequest): Reply => {
      seen += 1;
      return steps(request);
    };
    const rig = await startRig(
      script,
      { max_failures: 2 },
      {
        apiKey: KEY,
        through: async (server) => {
          const broker = await testBroker({}, { keys: systemKeys(null), keepKeysMs: 20 }, folder());
          await broker.control("PUT", "model", { base_url: server.url, api_key: KEY });
          return new BrokerModel({
            broker: () => ({ url: broker.url, launch_secret: LAUNCH_SECRET }),
            idleMs: 60_000,
          });
        },
      },
    );
    cleanUps.push(() => rig.close());
    const ids = [await rig.create("Go."), await rig.create("Go.")];
    await expect.poll(() => seen, { timeout: 20_000 }).toBeGreaterThan(2);
    lockKeyring();
    for (const id of ids) {
      const waits = async () => (await rig.ledger.getSession(id))?.fold.retry?.waits_for_keychain;
      await expect.poll(waits, { timeout: 30_000 }).toBe(true);
    }
    await Promise.all(ids.map((id) => rig.orchestrator.settled(id)));
    const before = rig.server.requests.length;
    // What a person's "try again" or a change of the settings does.
    await rig.orchestrator.networkIsBack("network");
    for (const id of ids) {
      const twice = async () => of(await rig.events(id), "longhaul.retry_scheduled").length;
      await expect.poll(twice, { timeout: 30_000 }).toBeGreaterThan(1);
      expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "rescheduling", failures: 1 });
    }
    expect(rig.server.requests).toHaveLength(before);
    await unlockKeyring();
    // Nobody tells them: the planned retry finds it open.
    for (const id of ids) {
      await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase, { timeout: 90_000 }).toBe("idle");
      const events = await rig.events(id);
      expect(of(events, "agent.message").at(-1)?.content).toEqual([{ type: "text", text: "All steps done." }]);
      expect(of(events, "agent.tool_use")).toHaveLength(STEPS);
      expect(of(events, "session.error").every(({ error }) => error.retry_status.type === "retrying")).toBe(true);
      expect(of(events, "session.error")[0]?.error.message).toMatch(/locked/);
    }
    expect(unauthenticated(rig.server)).toEqual([]);
  },
);

/** The broker of a product as it is now; null while it is being restarted. */
function brokerOf(product: Product): number | null {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const parent = /^PPid:\s*(\d+)$/m.exec(readFileSync(`/proc/${name}/status`, "utf8"))?.[1];
      if (Number(parent) !== product.child.pid) continue;
      if (/broker\.js|vault\/serve/.test(readFileSync(`/proc/${name}/cmdline`, "utf8"))) return Number(name);
    } catch {
      // It ended while it was looked at.
    }
  }
  return null;
}

test.runIf(process.platform === "linux")(
  "the broker is killed at random moments, and once while the keychain is locked: nothing goes out without the key",
  { timeout: 240_000 },
  async () => {
    const random = randomFrom(seed);
    const model = await startModelServer({ script: steps, apiKey: KEY });
    cleanUps.push(() => model.close());
    const product = await serve({ data_dir: folder() });
    cleanUps.push(() => product.stop());
    const body = JSON.stringify({ base_url: model.url, api_key: KEY });
    const settings = await product.local<ModelSettings>("/settings/model", { method: "PUT", body });
    expect(settings).toMatchObject({ source: "vault", credential: "api_key" });
    const kill = async (): Promise<void> => {
      const pid = await until("a broker", async () => brokerOf(product));
      process.kill(pid, "SIGKILL");
    };
    for (let round = 0; round < 4; round++) {
      const ids = await Promise.all([1, 2, 3].map(() => createSession(product, { text: "Take the steps." })));
      await new Promise((resolve) => setTimeout(resolve, random() * 1500));
      if (round === 2) lockKeyring();
      await kill();
      if (round === 2) {
        for (const id of ids) {
          const waits = async () => (await summaryOf(product, id)).fold.retry?.waits_for_keychain;
          await until(`${id} to wait for the keychain`, waits, 60_000);
        }
        const before = model.requests.length;
        // A second broker that starts while it is locked sends nothing either.
        await kill();
        await until("the next broker", async () => brokerOf(product));
        const health = () => product.local<{ model: { source: string; state: string } }>("/health");
        await until("health to say so", async () => (await health()).model.source === "vault");
        expect(model.requests).toHaveLength(before);
        await unlockKeyring();
        await product.local("/settings/model/test", { method: "POST", body: "{}" });
      }
      for (const id of ids) {
        await untilRests(product, id, 90_000);
        const events = await eventsOf(product, id);
        expect(problemsIn(events), `round ${round}, seed ${seed}`).toEqual([]);
        expect(finalMessage(events), `round ${round}, seed ${seed}`).toBe("All steps done.");
      }
    }
    expect(unauthenticated(model)).toEqual([]);
    expect(model.requests.filter(({ rejected }) => rejected !== null)).toEqual([]);
    // The session's own routes stay closed to whoever has no capability of the broker that runs now.
    expect(product.stderr()).not.toContain(KEY);
  },
);
