/** `longhaul resume`: tells what cut a session off, wakes it, and follows it to the end. */
import { readSettings, UsageError } from "../config.ts";
import { DEMO_MODEL } from "../contract/demo.ts";
import { isId } from "../contract/ids.ts";
import type { SessionSummary } from "../contract/local_api.ts";
import { unfinishedWork } from "../contract/work.ts";
import { EMPTY_ACCOUNT, whereItStands } from "./account/account.ts";
import { clip } from "./account/words.ts";
import { type Command, CommandFailed, ENGINE_OPTIONS } from "./command.ts";
import { readHistory } from "./follow/follow.ts";
import { startTask } from "./run.ts";
import { forgetPendingRun, newestPendingRun, type PendingRun, type Task } from "./task/pending_run.ts";
import { conclude, type Desk, followToEnd, openingText, withEngine } from "./task/session_command.ts";

export const resume: Command = {
  name: "resume",
  usage: "[SESSION] [--data-dir DIR] [--json]",
  summary: "Go on with a session that was cut off",
  details: [
    "Without SESSION: the one that was active last and has work left. Says first what cut it off and what is known of",
    "calls that were under way. A session that has finished is left alone: its final message is printed, exit code 0.",
    "Exit codes as for `run`.",
  ],
  options: {
    ...ENGINE_OPTIONS,
    json: { type: "boolean", help: "print stored events as JSON lines and a last line with the result" },
    verbose: { type: "boolean", help: "print the engine's log to stderr" },
  },
  positionals: { min: 0, max: 1 },
  run: async (context, args) => {
    const settings = readSettings({ "data-dir": args.text("data-dir"), sandbox: args.text("sandbox") }, context.env);
    const wanted = args.positionals[0] ?? null;
    if (wanted !== null && !isId("session", wanted)) {
      throw new UsageError(
        `"${clip(wanted, 60)}" is not a session id: they begin with sesn_. Without one, the last active session is resumed.`,
      );
    }
    const pending = wanted === null ? newestPendingRun(settings.data_dir) : null;
    const json = args.flag("json") === true;
    const verbose = args.flag("verbose") === true;
    const demo = pending?.task.demo === true;
    return await withEngine({ context, settings, demo, verbose, json }, (desk) => resumeOne(desk, wanted, pending));
  },
};

async function resumeOne(desk: Desk, wanted: string | null, pending: PendingRun | null): Promise<number> {
  if (wanted !== null) return await goOn(desk, wanted);
  if (pending !== null && !(await isStarted(desk, pending))) return await startPending(desk, pending.task);
  const chosen = await chooseSession(desk.client.sessions());
  if (chosen !== null) return await goOn(desk, chosen);
  const where = desk.settings.data_dir;
  throw new CommandFailed(
    `There are no sessions in ${where}. \`longhaul run "task"\` starts one; --data-dir names another folder.`,
  );
}

/** True when the pending run had come to a session; then it is pending no more. */
async function isStarted(desk: Desk, { task, at }: PendingRun): Promise<boolean> {
  for await (const { fold } of desk.client.sessions()) {
    if (fold.metadata.longhaul_run === task.nonce) {
      forgetPendingRun(desk.settings.data_dir, task);
      return true;
    }
    // Newest activity first: everything from here on was at rest before the run began. A minute for clocks set back.
    if (Date.parse(fold.updated_at) < at - 60_000) return false;
  }
  return false;
}

async function startPending(desk: Desk, task: Task): Promise<number> {
  if (!desk.json) desk.context.terminal.out("`longhaul run` was cut off before its session existed; it starts now.\n");
  return await startTask(desk, task);
}

/**
 * The first session with work left, else the first of all; null when there is none.
 * @param sessions newest activity first
 */
export async function chooseSession(
  sessions: AsyncIterable<Pick<SessionSummary, "id" | "work">>,
): Promise<string | null> {
  let first: string | null = null;
  for await (const { id, work } of sessions) {
    if (work !== "none") return id;
    first ??= id;
  }
  return first;
}

async function goOn(desk: Desk, id: string): Promise<number> {
  const { client, style, json, context, interrupts } = desk;
  desk.watch(id);
  const state = await readHistory(client, id, style, EMPTY_ACCOUNT);
  const { fold } = state;
  if (fold === null) throw new CommandFailed(`Session ${id} has no events that this version understands.`);
  const demo = fold.agent.model.id === DEMO_MODEL;
  const work = unfinishedWork(fold);
  if (work !== "none" && !demo && fold.model_requests > 0 && !fold.demo && desk.health.model.source === "demo") {
    throw new CommandFailed(
      `Session ${id} was begun with ${fold.agent.model.id}, and no model endpoint is set up now: the offline demo would ` +
        "answer in its place. Nothing was sent. Set ANTHROPIC_API_KEY (or ANTHROPIC_BASE_URL) and resume again.",
    );
  }
  const print = (text: string): void => {
    if (!json) context.terminal.out(text);
  };
  print(openingText(desk, id, demo));
  if (fold.title !== null) print(`${clip(fold.title, 160)}\n`);
  if (work === "none") {
    print("Nothing was left to do: this session had finished.\n");
    return await conclude(desk, id, state, fold.phase === "terminated" ? "failed" : "done");
  }
  print(`${whereItStands(state, style)}\n`);
  if (interrupts.leaving.aborted) return await conclude(desk, id, state, "left");
  await client.wake(id);
  return await followToEnd(desk, id, state);
}
