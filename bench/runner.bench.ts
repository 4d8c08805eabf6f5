/**
 * A command in a session's container: over the runner's channel, and as a `docker exec` of its own, taken in turns in the
 * same run. Needs a container engine with the sandbox image at LONGHAUL_TEST_DOCKER_HOST or DOCKER_HOST.
 */
import { SANDBOX_IMAGE } from "../main/sandbox/docker/testing/real_engine.ts";
import { RunnerCalls } from "../main/sandbox/runner/calls.ts";
import { RunnerContainer } from "../main/sandbox/runner/testing/containers.ts";
import { spread, table } from "./measure/stats.ts";
import type { BenchResult } from "./run.ts";

const ROUNDS = 30;
const CALLS_PER_ROUND = 20;
const TARGET_MS = 2;
const COMMAND = "echo hello";

export async function run(): Promise<BenchResult> {
  process.env["LONGHAUL_TEST_DOCKER_HOST"] ??= process.env["DOCKER_HOST"];
  const image = process.env["LONGHAUL_BENCH_IMAGE"] ?? SANDBOX_IMAGE;
  const container = await RunnerContainer.create(image);
  try {
    const client = await container.channel();
    const calls = new RunnerCalls(client);
    const times = { runner: [] as number[], ping: [] as number[], exec: [] as number[] };
    let id = 0;
    const call = (): Promise<string> => {
      id += 1;
      const options = { tool_use_id: `bench_${id}`, signal: new AbortController().signal };
      return calls.execute("bash", { command: COMMAND }, options);
    };
    // The first calls load what the later ones find loaded.
    for (let i = 0; i < CALLS_PER_ROUND; i++) await call();
    for (let round = 0; round < ROUNDS; round++) {
      await timed(times.exec, () => container.output(["sh", "-c", COMMAND]));
      for (let i = 0; i < CALLS_PER_ROUND; i++) {
        await timed(times.runner, call);
        await timed(times.ping, () => client.ping());
      }
    }
    client.close();
    const runner = spread(times.runner);
    const ping = spread(times.ping);
    const exec = spread(times.exec);
    const rows = [
      ["", "p50", "p95", "target p50"],
      ["runner call", `${runner.p50.toFixed(2)} ms`, `${runner.p95.toFixed(2)} ms`, `${TARGET_MS} ms`],
      ["channel round trip", `${ping.p50.toFixed(2)} ms`, `${ping.p95.toFixed(2)} ms`, ""],
      ["docker exec", `${exec.p50.toFixed(1)} ms`, `${exec.p95.toFixed(1)} ms`, ""],
      ["times faster", (exec.p50 / runner.p50).toFixed(0), (exec.p95 / runner.p95).toFixed(0), "20"],
    ];
    return { table: table(rows), json: { runner, ping, exec, ratio_p50: exec.p50 / runner.p50 } };
  } finally {
    await container.remove();
  }
}

async function timed(times: number[], action: () => Promise<unknown>): Promise<void> {
  const started = performance.now();
  await action();
  times.push(performance.now() - started);
}
