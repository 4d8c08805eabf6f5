/** Self-hosted environments of a running product, and worker programs in processes of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { BetaSelfHostedWork } from "@anthropic-ai/sdk/resources/beta/environments/work";
import type { StoredEvent } from "../../main/contract/events.ts";
import { cleanEnv, exitOf, type Product, tempDir } from "../product/serve.ts";

export interface Hosted {
  environment_id: string;
  key: string;
}

/** @param lease seconds without a heartbeat after which a worker has lost its session */
export async function hostedEnvironment(product: Product, lease = "60"): Promise<Hosted> {
  const { id } = await product.client.beta.environments.create({
    name: `hosted-${Math.random().toString(36).slice(2)}`,
    config: { type: "self_hosted" },
    metadata: { "longhaul.worker_lease": lease },
  });
  const { value } = await product.local<{ value: string }>(`/environments/${id}/keys`, { method: "POST", body: "{}" });
  return { environment_id: id, key: value };
}

export async function hostedSession(
  product: Product,
  hosted: Hosted,
  text: string,
  policy: "always_allow" | "always_ask" = "always_allow",
): Promise<string> {
  const agent = await product.client.beta.agents.create({
    name: "hosted",
    model: "claude-sonnet-5-5",
    tools: [{ type: "agent_toolset_20260401", default_config: { enabled: true, permission_policy: { type: policy } } }],
  });
  const session = await product.client.beta.sessions.create({
    agent: agent.id,
    environment_id: hosted.environment_id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text }] }],
  });
  return session.id;
}

export interface Worker {
  child: ChildProcess;
  workdir: string;
  output: () => string;
  ended: Promise<number | string>;
  /** SIGKILL for the worker's process group. */
  kill(): void;
  /** A file of its working directory as text; empty while it is not there. */
  file(name: string): string;
}

export type Program = "environment_worker" | "poller_and_runner";

/** A program that has the environment's key and polls by itself. */
export function startWorker(product: Product, hosted: Hosted, program: Program, workdir = tempDir()): Worker {
  return startProgram(product, program, workdir, {
    ANTHROPIC_ENVIRONMENT_ID: hosted.environment_id,
    ANTHROPIC_ENVIRONMENT_KEY: hosted.key,
  });
}

/** A program that is handed an item that somebody else has claimed. */
export function startOnItem(product: Product, work: BetaSelfHostedWork): Worker {
  return startProgram(product, "handle_item", tempDir(), {
    ANTHROPIC_ENVIRONMENT_ID: work.environment_id,
    ANTHROPIC_WORK_ID: work.id,
    ANTHROPIC_SESSION_ID: work.data.id,
    ANTHROPIC_WORK_SECRET: work.secret ?? "",
  });
}

function startProgram(product: Product, program: string, workdir: string, told: Record<string, string>): Worker {
  const path = new URL(`./testing/${program}.ts`, import.meta.url).pathname;
  const env = cleanEnv({ ANTHROPIC_BASE_URL: product.url, WORKDIR: workdir, ...told });
  // A process group of its own, so that it can die with its children.
  const child = spawn(process.execPath, [path], { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
  }
  return {
    child,
    workdir,
    output: () => text,
    ended: exitOf(child),
    kill: () => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
        process.kill(-child.pid, "SIGKILL");
    },
    file: (name) => {
      try {
        return readFileSync(join(workdir, name), "utf8");
      } catch {
        return "";
      }
    },
  };
}

/** Results of each call of a session, in order; one each is what must be. */
export function resultsOf(events: readonly StoredEvent[]): { name: string; results: string[] }[] {
  return events.flatMap(({ event: use }) => {
    if (use.type !== "agent.tool_use") return [];
    const results = events.flatMap(({ event }) =>
      (event.type === "user.tool_result" || event.type === "agent.tool_result") && event.tool_use_id === use.id
        ? [(event.content ?? []).map((block) => (block.type === "text" ? block.text : "")).join("")]
        : [],
    );
    return [{ name: use.name, results }];
  });
}
