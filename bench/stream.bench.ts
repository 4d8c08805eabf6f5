/**
 * Streams under load: 200 sessions that all stream at once, over real HTTP to readers in another process, with readers
 * among them that never read and readers that vanish. Measured is the time from an event's commit to its frame parsed,
 * beside a bare server that writes ready-made frames at the same rate in the same run.
 */
import { fork } from "node:child_process";
import * as fs from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startRig } from "../main/api/testing/rig.ts";
import { newId } from "../main/contract/ids.ts";
import { fileBlobStore } from "../main/session/blobs.ts";
import { openSqliteLedger } from "../main/session/sqlite/open.ts";
import { agentMessage, PRIMARY_THREAD, sessionCreated } from "../main/session/testing/drafts.ts";
import { ms, table } from "./measure/stats.ts";
import type { ReaderJob, ReaderReport } from "./measure/stream_reader.ts";
import type { BenchResult } from "./run.ts";

const READER = new URL("./measure/stream_reader.ts", import.meta.url).pathname;
const SESSIONS = 200;
/** Stored events per second and session: an agent in the middle of quick tool calls makes about as many. */
const RATE = 5;
/** Preview frames per second and session. */
const PREVIEW_RATE = 10;
const SECONDS = 10;
const SILENT = 20;
const VANISHING = 20;
const TEXT = "the quick brown fox jumps over the lazy dog ".repeat(9);

interface Target {
  url: string;
  token: string;
  paths: string[];
  /** Writes event `n` of a stream; resolves when it may be sent. */
  write: (stream: number, text: string) => Promise<void>;
  preview: ((stream: number) => void) | null;
  close: () => Promise<void>;
}

interface Delivery {
  p50: number;
  p95: number;
  p99: number;
  max: number;
  events: number;
  events_per_s: number;
  previews: number;
  missing: number;
  out_of_order: number;
  /** Processor time of the server's process per event, its commit included, in microseconds. */
  cpu_us: number;
  /** Memory of the server's process at the end, less what it was when the streams were open. */
  grown_mb: number;
}

/** Milliseconds on a clock that all processes of this machine share. */
const absolute = (): number => performance.timeOrigin + performance.now();

export async function run(): Promise<BenchResult> {
  // On a machine that is busy with other things the waits are theirs: the bare server's row tells how much.
  const load_before = os.loadavg()[0] ?? 0;
  const bare = await measure(await bareServer(), { silent: 0, vanishing: 0 });
  const plain = await measure(await product(false), { silent: 0, vanishing: 0 });
  const mixed = await measure(await product(true), { silent: SILENT, vanishing: VANISHING });
  const row = (name: string, each: Delivery, target: string): string[] => [
    name,
    ms(each.p50),
    ms(each.p95),
    ms(each.p99),
    ms(each.max),
    `${Math.round(each.events_per_s)}`,
    `${each.missing} / ${each.out_of_order}`,
    `${Math.round(each.cpu_us)} µs`,
    `${each.grown_mb.toFixed(0)} MB`,
    target,
  ];
  return {
    table: table([
      [
        `${SESSIONS} streams (load before: ${load_before.toFixed(1)})`,
        "p50",
        "p95",
        "p99",
        "max",
        "events/s",
        "missing / out of order",
        "CPU per event",
        "memory",
        "target p99",
      ],
      row("bare server, frames made before", bare, ""),
      row("Longhaul", plain, "50 ms"),
      row(`with previews, ${SILENT} silent and ${VANISHING} vanishing readers`, mixed, "50 ms"),
    ]),
    json: {
      streams: SESSIONS,
      load_before,
      bare,
      plain,
      mixed,
      ratio_p50: plain.p50 / bare.p50,
      ratio_p99: plain.p99 / bare.p99,
    },
  };
}

async function measure(target: Target, others: { silent: number; vanishing: number }): Promise<Delivery> {
  const { url, token, paths } = target;
  const reader = fork(READER, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const answered = (): Promise<unknown> =>
    new Promise((resolve, reject) => {
      reader.once("message", resolve);
      reader.once("exit", (code) => reject(new Error(`the reader ended with ${code}`)));
    });
  try {
    const ready = answered();
    reader.send({ url, token, paths, ...others, vanish_ms: SECONDS * 1_000 } satisfies ReaderJob);
    await ready;
    const before = memory();
    const cpu = process.cpuUsage();
    const written = await write(target);
    // What was committed last is still on its way.
    await sleep(500);
    const { user, system } = process.cpuUsage(cpu);
    const after = memory();
    const reported = answered();
    reader.send("stop");
    const report = (await reported) as ReaderReport;
    const delivered = delivery(written, report);
    return { ...delivered, cpu_us: (user + system) / delivered.events, grown_mb: after - before };
  } finally {
    reader.kill();
    await target.close();
  }
}

/** Open loop: every event has its time, and a slow server does not make the next one later. */
async function write(target: Target): Promise<number[][]> {
  const written: number[][] = target.paths.map(() => []);
  const begin = performance.now() + 100;
  const stream = async (index: number): Promise<void> => {
    const pending: Promise<void>[] = [];
    for (let n = 0; n < RATE * SECONDS; n++) {
      // Streams are spread over the interval, as sessions are that know nothing of each other.
      const due = begin + (n * 1_000) / RATE + (index * 1_000) / RATE / SESSIONS;
      await sleep(Math.max(0, due - performance.now()));
      const done = target.write(index, `${n} ${TEXT}`).then(() => {
        (written[index] as number[])[n] = absolute();
      });
      pending.push(done);
    }
    await Promise.all(pending);
  };
  const previews = target.preview === null ? null : everyStream(target.preview);
  await Promise.all(target.paths.map((_, index) => stream(index)));
  if (previews !== null) clearInterval(previews);
  return written;
}

function everyStream(preview: (stream: number) => void): NodeJS.Timeout {
  const STEP_MS = 5;
  const begin = performance.now();
  let sent = 0;
  return setInterval(() => {
    const due = ((performance.now() - begin) / 1_000) * SESSIONS * PREVIEW_RATE;
    for (; sent < due; sent++) preview(sent % SESSIONS);
  }, STEP_MS);
}

function delivery(written: readonly number[][], report: ReaderReport): Omit<Delivery, "grown_mb" | "cpu_us"> {
  const waits: number[] = [];
  let missing = 0;
  for (const [stream, times] of written.entries()) {
    times.forEach((at, n) => {
      const parsed = report.times[stream]?.[n];
      if (parsed === undefined) missing += 1;
      else waits.push(parsed - at);
    });
  }
  waits.sort((a, b) => a - b);
  const at = (share: number): number =>
    waits[Math.min(waits.length - 1, Math.floor(share * waits.length))] ?? Number.NaN;
  const { out_of_order, previews } = report;
  return {
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
    max: at(1),
    events: waits.length,
    events_per_s: waits.length / SECONDS,
    previews,
    missing,
    out_of_order,
  };
}

/** Resident memory in MB, garbage left out where that can be asked for. */
function memory(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss / 1024 / 1024;
}

/** The engine's API over its SQLite ledger, in this process, as an engine has it. */
async function product(previews: boolean): Promise<Target> {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "longhaul-bench-stream-"));
  const blobs = fileBlobStore(path.join(dataDir, "blobs"));
  const store = openSqliteLedger({ dataDir, blobs });
  const rig = await startRig({ ledger: store.ledger, blobs });
  const ids: string[] = [];
  for (let n = 0; n < SESSIONS; n++) {
    const id = newId("session");
    ids.push(id);
    await store.ledger.createSession(id, [sessionCreated()]);
  }
  const open = new Map<number, string>();
  return {
    url: rig.url,
    token: rig.token,
    paths: ids.map((id) => `/v1/sessions/${id}/events/stream${previews ? "?event_deltas[]=agent.message" : ""}`),
    write: async (stream, text) => {
      const id = open.get(stream);
      open.delete(stream);
      await store.ledger.emitEvent(ids[stream] ?? "", { ...agentMessage(text), ...(id === undefined ? {} : { id }) });
    },
    preview: previews
      ? (stream) => {
          const sessionId = ids[stream] ?? "";
          const known = open.get(stream);
          const event_id = known ?? newId("event");
          const content = { type: "text" as const, text: "some words of an answer " };
          const delta = { type: "content_delta" as const, index: 0, content };
          open.set(stream, event_id);
          rig.live.publish(sessionId, {
            type: "preview",
            thread_id: PRIMARY_THREAD,
            frame:
              known === undefined
                ? { type: "event_start", event: { type: "agent.message", id: event_id } }
                : { type: "event_delta", event_id, delta },
          });
        }
      : null,
    close: async () => {
      await rig[Symbol.asyncDispose]();
      await store.ledger.close();
      fs.rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** The least that can stream: one write of a ready-made frame per event. */
async function bareServer(): Promise<Target> {
  const responses = new Map<number, ServerResponse>();
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    responses.set(Number(request.url?.slice(1)), response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    token: "",
    paths: Array.from({ length: SESSIONS }, (_, n) => `/${n}`),
    write: async (stream, text) => {
      const data = JSON.stringify({
        id: newId("event"),
        ...agentMessage(text),
        processed_at: new Date().toISOString(),
      });
      responses.get(stream)?.write(`event: agent.message\ndata: ${data}\n\n`);
    },
    preview: null,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
