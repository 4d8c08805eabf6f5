/**
 * Crash-point enumeration: the engine is killed with SIGKILL at every pass of every named pause point of a scripted
 * task. After a restart the end must equal the uninterrupted run: files, final message, one result per call, no effect
 * twice, no acknowledged event lost, and every request after the crash continues the bytes of those before it.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CRASH_POINTS, type CrashPoint } from "../main/crash_points.ts";
import { type GuardedServer, startGuardedServer } from "./mcp/guarded_server.ts";
import { type ModelServer, startModelServer } from "./model_server/server.ts";
import { type Product, removeDir, serve, tempDir, until } from "./product/serve.ts";
import {
  createSession,
  eventsOf,
  finalMessage,
  problemsIn,
  summaryOf,
  untilRests,
  workspaceFiles,
} from "./product/sessions.ts";
import { TASK_FILES, TASK_RUBRIC, taskScript } from "./product/task.ts";

/** What it takes to reach a point: settings of the engine, a task that is an outcome. */
interface Setup {
  env: Record<string, string>;
  outcome: boolean;
  /** The agent has an MCP server, which the task does not need. */
  mcp: boolean;
}

const PLAIN: Setup = { env: {}, outcome: false, mcp: false };
const COMPACTING: Setup = { ...PLAIN, env: { LONGHAUL_COMPACT_AT: "400" } };
const OUTCOME: Setup = { ...PLAIN, outcome: true };
const WITH_SERVER: Setup = { ...PLAIN, mcp: true };

function setupOf(point: CrashPoint): Setup {
  if (point.startsWith("compaction.")) return COMPACTING;
  if (point.startsWith("mcp.")) return WITH_SERVER;
  return point.startsWith("outcome.") ? OUTCOME : PLAIN;
}

interface End {
  files: Record<string, string>;
  final: string;
}

let model: ModelServer;
let notes: GuardedServer;
beforeAll(async () => {
  model = await startModelServer({ script: taskScript });
  notes = await startGuardedServer(null, 0);
});
afterAll(async () => {
  await model.close();
  await notes.close();
});

/** The session of this data directory, made unless an earlier process got as far as making it. */
async function theSession(product: Product, { outcome, mcp }: Setup): Promise<string> {
  for await (const session of product.client.beta.sessions.list()) return session.id;
  return createSession(product, {
    text: "Write the log.",
    ...(outcome ? { rubric: TASK_RUBRIC } : {}),
    ...(mcp ? { mcp: notes.url } : {}),
  });
}

/** Follows the session's public stream and remembers every event that was shown to a client. */
async function follow(product: Product, sessionId: string, seen: Set<string>): Promise<void> {
  try {
    const stream = await product.client.beta.sessions.events.stream(sessionId);
    for await (const event of stream) if ("id" in event) seen.add(event.id);
  } catch {
    // The engine was killed: what was seen until then is what counts.
  }
}

async function endOf(product: Product, sessionId: string): Promise<End> {
  return {
    files: workspaceFiles(product.data_dir, sessionId),
    final: finalMessage(await eventsOf(product, sessionId)),
  };
}

/** One run with one crash. Returns false when the point was passed fewer than `pass` times. */
async function crashAt(point: CrashPoint, pass: number, wanted: End): Promise<boolean> {
  const data_dir = tempDir();
  const setup = setupOf(point);
  const seen = new Set<string>();
  const from = model.requests.length;
  try {
    const first = await serve({ data_dir, model, env: { ...setup.env, LONGHAUL_CRASH_AT: `${point}:${pass}` } });
    const rested = (async () => {
      const id = await theSession(first, setup);
      void follow(first, id, seen);
      await untilRests(first, id);
      return true;
    })().catch(() => false);
    const survived = await Promise.race([rested, first.ended.then(() => false)]);
    if (survived) {
      await first.stop();
      return false;
    }
    expect(await first.ended).toBe(137);
    const sentBefore = model.requests.length;

    const second = await serve({ data_dir, model, env: setup.env });
    const id = await theSession(second, setup);
    await untilRests(second, id);
    const events = await eventsOf(second, id);
    const where = `${point}:${pass}`;
    expect(problemsIn(events), where).toEqual([]);
    expect(await endOf(second, id), where).toEqual(wanted);
    expect((await summaryOf(second, id)).fold.stop_reason, where).toEqual({ type: "end_turn" });
    const kept = new Set(events.map(({ event }) => event.id));
    expect(
      [...seen].filter((eventId) => !kept.has(eventId)),
      `${where}: acknowledged and lost`,
    ).toEqual([]);
    expectPrefix(from, sentBefore, where);
    await second.stop();
    return true;
  } finally {
    removeDir(data_dir);
  }
}

/** No request was refused, and the first one after the crash begins with the bytes of the last one before it. */
function expectPrefix(from: number, sentBefore: number, where: string): void {
  const requests = model.requests.slice(from);
  expect(
    requests.map((request) => request.rejected),
    where,
  ).toEqual(requests.map(() => null));
  const before = model.requests[sentBefore - 1];
  const after = model.requests[sentBefore];
  if (sentBefore === from || before === undefined || after === undefined) return;
  const isGrading = (raw: Buffer): boolean => raw.includes("report_verdict");
  // The grader has a conversation of its own.
  if (isGrading(before.raw) !== isGrading(after.raw)) return;
  const isCompaction = (raw: Buffer): boolean => raw.includes("Write a summary") || raw.includes("<summary>");
  if (isCompaction(before.raw) || isCompaction(after.raw)) return;
  const head = before.raw.subarray(0, before.raw.length - "]}".length);
  expect(after.raw.subarray(0, head.length).equals(head), `${where}: prefix`).toBe(true);
}

describe("crash-point enumeration", () => {
  const ends = new Map<Setup, End>();

  beforeAll(async () => {
    for (const setup of [PLAIN, COMPACTING, OUTCOME, WITH_SERVER]) {
      const product = await serve({ model, env: setup.env });
      const id = await theSession(product, setup);
      await untilRests(product, id);
      ends.set(setup, await endOf(product, id));
      await product.stop();
      removeDir(product.data_dir);
    }
    expect(ends.get(PLAIN)?.files).toEqual(TASK_FILES);
    expect(ends.get(OUTCOME)?.final).toContain("REVISED");
  });

  // Those of deployments are passed without a task: `deployments.spec.ts`.
  test.each((Object.keys(CRASH_POINTS) as CrashPoint[]).filter((point) => !point.startsWith("deployment.")))(
    "%s",
    async (point) => {
      const wanted = ends.get(setupOf(point));
      if (wanted === undefined) throw new Error("no uninterrupted run");
      let runs = 0;
      for (let pass = 1; await crashAt(point, pass, wanted); pass++) runs += 1;
      expect(runs, `${point} was never reached`).toBeGreaterThan(0);
    },
    600_000,
  );

  test("the supervised engine is restarted at its old address and the session goes on by itself", async () => {
    const product = await serve({ model });
    const id = await theSession(product, PLAIN);
    await until("the first tool call", async () => (await summaryOf(product, id)).fold.tool_calls > 0);
    process.kill(product.pid, "SIGKILL");
    await until("the engine to be back", async () => (await summaryOf(product, id).catch(() => null)) !== null);
    await untilRests(product, id);
    expect(problemsIn(await eventsOf(product, id))).toEqual([]);
    expect(workspaceFiles(product.data_dir, id)).toEqual(TASK_FILES);
    await product.stop();
    removeDir(product.data_dir);
  });
});
