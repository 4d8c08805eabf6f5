/** Resident memory of engine and broker: idle after start, and with 50 sessions that have run. */
import { readFileSync } from "node:fs";
import { startModelServer } from "../e2e/model_server/server.ts";
import { type Product, removeDir, serve } from "../e2e/product/serve.ts";
import { createSession, untilRests } from "../e2e/product/sessions.ts";
import { table } from "./measure/stats.ts";
import type { BenchResult } from "./run.ts";

const SESSIONS = 50;
const SETTLE_MS = 3_000;

export async function run(): Promise<BenchResult> {
  const model = await startModelServer({
    script: (request) =>
      request.turn < 3
        ? { content: [{ type: "tool_use", name: "not_a_tool", input: { n: request.turn } }] }
        : { content: [{ type: "text", text: "done" }] },
  });
  const product = await serve({ model });
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const idle = measure(product);
    const ids = await Promise.all(
      Array.from({ length: SESSIONS }, (_, n) => createSession(product, { text: `task ${n}` })),
    );
    for (const id of ids) await untilRests(product, id);
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const busy = measure(product);
    const row = (name: string, of: Memory, target: string): string[] => [
      name,
      mb(of.engine),
      mb(of.broker),
      mb(of.engine + of.broker),
      target,
    ];
    return {
      table: table([
        ["", "engine", "broker", "together", "target"],
        row("idle", idle, "220 MB"),
        row(`after ${SESSIONS} sessions`, busy, ""),
      ]),
      json: { idle, busy },
    };
  } finally {
    await product.stop();
    await model.close();
    removeDir(product.data_dir);
  }
}

interface Memory {
  engine: number;
  broker: number;
}

function measure(product: Product): Memory {
  return { engine: rss(product.pid), broker: rss(product.broker_pid) };
}

/** Resident set in MB, from /proc: this benchmark runs on Linux. */
function rss(pid: number): number {
  const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kb) / 1024;
}

function mb(value: number): string {
  return `${value.toFixed(0)} MB`;
}
