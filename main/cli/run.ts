/** `longhaul run`: gives an agent a task and follows it to the end. */
import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { readSettings, UsageError } from "../config.ts";
import { EMPTY_ACCOUNT } from "./account/account.ts";
import { type Arguments, type Command, type Context, ENGINE_OPTIONS } from "./command.ts";
import { makeDataDir } from "./engine/host.ts";
import { createSession } from "./task/create_task.ts";
import { forgetPendingRun, recordPendingRun, type Task } from "./task/pending_run.ts";
import { type Desk, followToEnd, openingText, withEngine } from "./task/session_command.ts";

export const run: Command = {
  name: "run",
  usage: '"TASK" [--demo] [--model M] [--agent ID] [--repo PATH] [--ask] [--json]',
  summary: "Give an agent a task, watch it work, and get its answer",
  details: [
    "TASK is one word or a quoted sentence; `-` reads it from stdin. An engine that runs already for this data directory",
    "is used, otherwise one is started for the duration. Killed at any moment, `longhaul resume` goes on with the task.",
    "Ctrl+C interrupts the turn and waits; a second one leaves (the session can be resumed).",
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 waits for your approval, 130 interrupted.",
  ],
  options: {
    ...ENGINE_OPTIONS,
    demo: { type: "boolean", help: "use the built-in offline demo model: no key, no network" },
    model: { type: "string", value: "MODEL", help: "model id, for example claude-opus-5-5 or a local model's name" },
    agent: { type: "string", value: "ID", help: "an agent that exists (agent_…) instead of the command line's own" },
    repo: {
      type: "string",
      value: "PATH",
      help: "a repository on this disk; the agent works on a copy, you get a patch",
    },
    ask: { type: "boolean", help: "ask before every tool call (not together with --agent)" },
    json: { type: "boolean", help: "print stored events as JSON lines and a last line with the result" },
    verbose: { type: "boolean", help: "print the engine's log to stderr" },
  },
  positionals: { min: 1, max: 1 },
  run: async (context, args) => {
    const flags = { "data-dir": args.text("data-dir"), sandbox: args.text("sandbox") };
    const settings = readSettings(flags, context.env);
    const task = await readTask(context, args);
    makeDataDir(settings.data_dir);
    recordPendingRun(settings.data_dir, task);
    try {
      const json = args.flag("json") === true;
      const verbose = args.flag("verbose") === true;
      return await withEngine({ context, settings, demo: task.demo, verbose, json }, (desk) => startTask(desk, task));
    } finally {
      // Still there only when it came to no session: then this command has said so, and nothing is pending.
      forgetPendingRun(settings.data_dir, task);
    }
  },
};

/** Creates the session of a task and follows it. @returns the exit code */
export async function startTask(desk: Desk, task: Task): Promise<number> {
  const { client, health, settings, context, json } = desk;
  const id = await createSession(await client.sdk(), task, health.model.source === "demo");
  forgetPendingRun(settings.data_dir, task);
  desk.watch(id);
  if (!json) context.terminal.out(openingText(desk, id, task.demo));
  return await followToEnd(desk, id, EMPTY_ACCOUNT);
}

async function readTask({ terminal }: Context, args: Arguments): Promise<Task> {
  const given = args.positionals[0] ?? "";
  const text = given === "-" ? await terminal.readInput() : given;
  if (text.trim() === "") throw new UsageError('The task is empty. Usage: longhaul run "what the agent is to do"');
  const agent = args.text("agent") ?? null;
  const ask = args.flag("ask") === true;
  const demo = args.flag("demo") === true;
  const model = args.text("model") ?? null;
  if (demo && model !== null)
    throw new UsageError("--demo and --model exclude each other: the demo is a model of its own.");
  if (agent !== null && ask)
    throw new UsageError("--ask and --agent exclude each other: an agent has its own permissions.");
  if (agent !== null && !/^agent_[A-Za-z0-9]+$/.test(agent))
    throw new UsageError(`--agent ${agent}: give an id that begins with agent_`);
  return {
    nonce: randomBytes(16).toString("hex"),
    text: text.trim(),
    model,
    agent,
    repo: repository(args.text("repo")),
    ask,
    demo,
  };
}

function repository(path: string | undefined): string | null {
  if (path === undefined) return null;
  const absolute = resolve(path);
  if (statSync(absolute, { throwIfNoEntry: false })?.isDirectory() === true) return absolute;
  throw new UsageError(`--repo ${path}: there is no such folder. Give the path of a git work tree.`);
}
