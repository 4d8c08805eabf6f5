/** `longhaul resume`: tells what cut a session off, wakes it, and follows it to the end. */
import { readSettings, UsageError } from "../config.ts";
import { isId } from "../contract/ids.ts";
import type { SessionSummary } from "../contract/local_api.ts";
import { unfinishedWork } from "../contract/work.ts";
import { EMPTY_ACCOUNT, whereItStands } from "./account/account.ts";
import { clip } from "./account/words.ts";
import { type Command, CommandFailed, ENGINE_OPTIONS } from "./command.ts";
import { readHistory } from "./follow/follow.ts";
import { startTask } from "./run.ts";
import { DEMO_MODEL } from "./task/create_task.ts";
import { forgetPendingRun, newestPendingRun, type Task } from "./task/pending_run.ts";
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
    demo: { type: "boolean", help: "use the built-in offline demo model: no key, no network" },
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
    const json = args.flag("json") === true;
    const verbose = args.flag("verbose") === true;
    // A run that had asked for the demo must not go on with a paid model only because the flag was not repeated.
    const pending = wanted === null ? newestPendingRun(settings.data_dir) : null;
    const demo = args.flag("demo") === true || pending?.demo === true;
    const options = { context, settings, verbose, json };
    try {
      return await withEngine({ ...options, demo }, (desk) => resumeOne(desk, wanted, pending));
    } catch (error) {
      if (!(error instanceof DemoSession)) throw error;
      return await withEngine({ ...options, demo: true }, (desk) => goOn(desk, error.session_id));
    }
  },
};

/** The session belongs to the offline demo, but the engine was started with the environment's model endpoint. */
class DemoSession extends CommandFailed {
  readonly session_id: string;

  constructor(sessionId: string) {
    super(
      `Session ${sessionId} belongs to the offline demo model, and the engine that runs on this data directory has another ` +
        "one. Nothing was sent. Stop that engine, then resume again.",
    );
    this.session_id = sessionId;
  }
}

async function resumeOne(desk: Desk, wanted: string | null, pending: Task | null): Promise<number> {
  if (wanted !== null) return await goOn(desk, wanted);
  const sessions = await desk.client.sessions();
  if (pending !== null && !isStarted(desk, pending, sessions)) return await startPending(desk, pending);
  return await goOn(desk, chooseSession(sessions, desk.settings.data_dir));
}

/** True when the pending run had come to a session; then it is pending no more. */
function isStarted(desk: Desk, task: Task, sessions: readonly SessionSummary[]): boolean {
  if (!sessions.some(({ fold }) => fold.metadata.longhaul_run === task.nonce)) return false;
  forgetPendingRun(desk.settings.data_dir, task);
  return true;
}

async function startPending(desk: Desk, task: Task): Promise<number> {
  if (!desk.json) desk.context.terminal.out("`longhaul run` was cut off before its session existed; it starts now.\n");
  return await startTask(desk, task);
}

/** The most recently active session with work left; without one, the most recently active of all. */
export function chooseSession(sessions: readonly SessionSummary[], dataDir: string): string {
  const byActivity = [...sessions].sort((a, b) => b.fold.updated_at.localeCompare(a.fold.updated_at));
  const chosen = byActivity.find(({ work }) => work !== "none") ?? byActivity[0];
  if (chosen !== undefined) return chosen.id;
  throw new CommandFailed(
    `There are no sessions in ${dataDir}. \`longhaul run "task"\` starts one; --data-dir names another folder.`,
  );
}

async function goOn(desk: Desk, id: string): Promise<number> {
  const { client, style, json, context, interrupts } = desk;
  desk.watch(id);
  const state = await readHistory(client, id, style, EMPTY_ACCOUNT);
  const { fold } = state;
  if (fold === null) throw new CommandFailed(`Session ${id} has no events that this version understands.`);
  const work = unfinishedWork(fold);
  if (work !== "none" && fold.agent.model.id === DEMO_MODEL && desk.health.model.source !== "demo")
    throw new DemoSession(id);
  const print = (text: string): void => {
    if (!json) context.terminal.out(text);
  };
  print(openingText(desk, id));
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
