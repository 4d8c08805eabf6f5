/** Follows one session to its rest: prints its account, asks for approvals, and says how it ended. */

import type { SessionFold } from "../../contract/fold.ts";
import { asksPerson, waitsForClient } from "../../contract/fold_calls.ts";
import type { TimelineFrame } from "../../contract/local_api.ts";
import { openCalls } from "../../contract/threads/view.ts";
import { unfinishedWork } from "../../contract/work.ts";
import { type AccountState, accountStep } from "../account/account.ts";
import type { Style } from "../account/words.ts";
import type { LocalClient } from "../client.ts";
import type { Terminal } from "../terminal.ts";
import { answerCalls } from "./approvals.ts";
import type { Interrupts } from "./interrupts.ts";

export type Ending =
  | "done"
  /** The turn died, was refused, ran out of budget, or the session was ended for good. */
  | "failed"
  | "needs_you"
  | "interrupted"
  /** The person left; the session may still run elsewhere or be resumed. */
  | "left"
  | "deleted";

export interface FollowOptions {
  client: LocalClient;
  terminal: Terminal;
  style: Style;
  session_id: string;
  /** State from which to go on; frames up to its `last_seq` were seen. */
  state: AccountState;
  /** true: stored events as JSON lines instead of the account. */
  json: boolean;
  interrupts: Interrupts;
}

export interface Followed {
  ending: Ending;
  state: AccountState;
}

/** After the end the lease is given back within moments; the account then ends with the session really at rest. */
const REST_MS = 1500;

/** Reads until the session rests or needs a person. Rejects with a CommandFailed when the engine is gone for good. */
export async function follow(options: FollowOptions): Promise<Followed> {
  const { client, session_id, interrupts } = options;
  const reading = new AbortController();
  const stop = (): void => reading.abort();
  interrupts.leaving.addEventListener("abort", stop);
  if (interrupts.leaving.aborted) stop();
  const follower = new Follower(options);
  let rest: NodeJS.Timeout | undefined;
  try {
    for await (const frame of client.timeline(session_id, options.state.fold?.last_seq ?? 0, reading.signal)) {
      if (await follower.take(frame)) break;
      if (follower.ending !== null) rest ??= setTimeout(stop, REST_MS);
    }
  } finally {
    clearTimeout(rest);
    interrupts.leaving.removeEventListener("abort", stop);
    reading.abort();
  }
  return { ending: follower.ending ?? "left", state: follower.state };
}

class Follower {
  state: AccountState;
  ending: Ending | null = null;
  readonly #options: FollowOptions;
  readonly #answered = new Set<string>();
  #caughtUp = false;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.state = options.state;
  }

  /** Prints a frame and looks at what it changed. @returns true when there is nothing more to wait for */
  async take(frame: TimelineFrame): Promise<boolean> {
    this.state = printFrame(this.#options, this.state, frame);
    if (frame.type === "deleted") this.ending = "deleted";
    if (frame.type === "caught_up") await this.#connected();
    if (this.ending !== null) return frame.type === "deleted" || isReleased(frame);
    if (!this.#caughtUp || (frame.type !== "stored" && frame.type !== "caught_up")) return false;
    await this.#look();
    // At the end of the history the lease is back already; a person's answer may take for ever.
    return this.ending !== null && (frame.type === "caught_up" || this.ending === "needs_you");
  }

  /** A connection after the first may be to an engine that replaced a dead one and waits to be asked to go on. */
  async #connected(): Promise<void> {
    const again = this.#caughtUp;
    this.#caughtUp = true;
    const { fold } = this.state;
    if (!again || fold === null || unfinishedWork(fold) !== "now") return;
    // When it fails the engine is gone again: the next connection asks once more, or says that there is none.
    await this.#options.client.wake(this.#options.session_id).catch(() => undefined);
  }

  async #look(): Promise<void> {
    const { fold } = this.state;
    if (fold === null) return;
    this.ending = endingOf(fold, this.#options.interrupts.asked);
    if (this.ending !== "needs_you") return;
    if (await answerCalls({ ...this.#options, state: this.state }, this.#answered)) this.ending = null;
  }
}

function printFrame({ terminal, style, json }: FollowOptions, state: AccountState, frame: TimelineFrame): AccountState {
  const step = accountStep(state, frame, style);
  if (!json && step.text !== "") terminal.out(step.text);
  if (json && frame.type === "stored") terminal.out(`${JSON.stringify(frame.stored)}\n`);
  return step.state;
}

function isReleased(frame: TimelineFrame): boolean {
  return frame.type === "stored" && frame.stored.event.type === "longhaul.lease_released";
}

/** How the session rests; null while it has something to do that needs no person. */
export function endingOf(fold: SessionFold, interrupted: boolean): Exclude<Ending, "left" | "deleted"> | null {
  if (fold.phase === "terminated") return "failed";
  const work = unfinishedWork(fold);
  if (work === "now" || work === "later") return null;
  // An interrupt that is on its way answers the calls that wait.
  if (work === "client") return interrupted || waitsForWorkerOnly(fold) ? null : "needs_you";
  if (interrupted) return "interrupted";
  if (work === "stopped") return "failed";
  // No work and no reason to stop: nothing was ever asked of this session.
  const reason = fold.stop_reason?.type ?? "end_turn";
  return reason === "end_turn" ? "done" : "failed";
}

/** True when a worker of a self-hosted environment has, or will be given, all that the session waits for. */
function waitsForWorkerOnly(fold: SessionFold): boolean {
  const waiting = openCalls(fold).filter(waitsForClient);
  return waiting.length > 0 && waiting.every((call) => call.kind === "builtin" && !asksPerson(call));
}

/** Folds everything that is stored so far, printing nothing. */
export async function readHistory(
  client: LocalClient,
  sessionId: string,
  style: Style,
  from: AccountState,
): Promise<AccountState> {
  const reading = new AbortController();
  let state = from;
  for await (const frame of client.timeline(sessionId, state.fold?.last_seq ?? 0, reading.signal)) {
    if (frame.type === "caught_up") break;
    state = accountStep(state, frame, style).state;
  }
  reading.abort();
  return state;
}
