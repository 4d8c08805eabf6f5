/** One command in the container's shell, from sending it to its result; also one that was sent before. */
import { setTimeout as sleep } from "node:timers/promises";
import { OUTPUT_LIMIT, ShellFailure, type ShellOutput, type ShellRun } from "../machine.ts";
import { OutcomeUnknown, ToolFailure } from "../port.ts";
import { decodeText, fromCharacterStart } from "../text.ts";
import { type CallEnd, ChannelClosed, RequestTimeout, type RunnerClient } from "./client.ts";
import { escapeText } from "./frames.ts";
import { LiveOutput, type OutputProgress } from "./live_output.ts";
import { COMMAND_END } from "./scripts/shells.ts";

/** Longer commands follow their line as they are: the shell takes lines one character at a time. */
const MAX_LINE = 16 * 1024;
const FOLLOW_AFTER_MS = 50;
/** Most that the relay sends at a time. */
const FOLLOW_BYTES = 16 * 1024;
const FOLLOW_AGAIN_MS = { full: 20, some: 80, none: 160, longest: 640 };
/** The runner itself gives up on killing after about 5 seconds of trying and takes a stronger way. */
const STOP_TIMEOUT_MS = 30_000;

/** A command whose end was not told is asked about: the shell may be stopped, and what tells of ends may be spoiled. */
const CHECK_AFTER_MS = 1500;
const CHECK_AGAIN_MS = 5000;
/** Times that a shell with nothing to do may be found not to have taken a command, and that there may be no shell. */
const MAX_NOT_TAKEN = 6;
const MAX_NO_SHELL = 24;

const UNKNOWN = "The run was cut off; it may or may not have taken effect. Inspect the state before repeating.";
const NOT_RECORDED =
  "The sandbox could not record the call, so the command was not run: its disk is full. Remove what is not needed and try again.";

const EMPTY = Buffer.alloc(0);

/** @param left MiB */
function diskText(left: number, output: string): string {
  const said = output === "" ? "" : `\nIts output until then:\n${output}`;
  return (
    `bash: the command was stopped because only ${left} MB are left on the disk that holds all sandboxes, and they were ` +
    "being used up. What it had written is kept. Remove files in the sandbox that are not needed, or write less; space can " +
    `also be freed on the machine, where the container engine keeps its data.${said}`
  );
}

interface Collected {
  bytes: Uint8Array;
  truncated: ShellOutput["truncated"];
}

/**
 * Runs the command once, whoever asks for this id and however often. Rejects with ShellFailure, OutcomeUnknown,
 * ToolFailure (it could not be recorded and did not run) or ChannelClosed.
 */
export async function runCommand(
  client: RunnerClient,
  id: string,
  command: string,
  options: ShellRun,
  progress: OutputProgress,
): Promise<ShellOutput> {
  if (command.includes("\0")) throw new ToolFailure("bash: the command holds a NUL character, which no shell can take");
  const live = new LiveOutput(progress, options.onOutput);
  const end = await ended(client, id, command, options, live);
  if (end === null) throw new ToolFailure(NOT_RECORDED);
  const { bytes, truncated } = await collect(client, id, end, options.spillName);
  live.finish(bytes, truncated?.bytes ?? bytes.length);
  const text = decodeText(truncated === null ? bytes : fromCharacterStart(bytes));
  if (/^\d{1,3}$/.test(end.code)) return { exitCode: Number(end.code), text, truncated };
  if (/^D\d{0,9}$/.test(end.code)) throw new ToolFailure(diskText(Number(end.code.slice(1)), text));
  switch (end.code) {
    case "I":
      throw new ShellFailure("interrupted", "stopped", text);
    case "X":
      throw new ShellFailure("timeout", `bash command timed out after ${options.timeoutMs}ms`, text);
    case "T":
      throw new ShellFailure("terminated", "bash session terminated", text);
    case "E":
      throw new ToolFailure(NOT_RECORDED);
    default:
      throw new OutcomeUnknown(text === "" ? UNKNOWN : `${UNKNOWN}\nIts output until then:\n${text}`);
  }
}

/** Sends the command and waits for its end, through timeout and interrupt. Null when it was refused. */
function ended(
  client: RunnerClient,
  id: string,
  command: string,
  options: ShellRun,
  live: LiveOutput,
): Promise<CallEnd | null> {
  return new Promise((resolve, reject) => {
    let over = false;
    let stuck: NodeJS.Timeout | undefined;
    const stop = (why: "I" | "X"): void => {
      if (over || stuck !== undefined) return;
      client.send(`k ${id} ${why}`);
      stuck = setTimeout(() => {
        client.close("The runner could not stop a command; the container must be restarted to end it.", true);
      }, STOP_TIMEOUT_MS);
    };
    const interrupt = (): void => stop("I");
    const timer = setTimeout(() => stop("X"), options.timeoutMs);
    const following = setTimeout(() => void follow(client, id, live, () => over), FOLLOW_AFTER_MS);
    const settle = (act: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      clearTimeout(following);
      clearTimeout(stuck);
      options.signal.removeEventListener("abort", interrupt);
      forgetEnd();
      forgetClose();
      act();
    };
    const forgetEnd = client.onEnd(id, (end) => settle(() => resolve(end)));
    let forgetClose: () => void = () => undefined;
    forgetClose = client.onClose((error) => settle(() => reject(error)));
    if (over) return;
    options.signal.addEventListener("abort", interrupt);
    sendCommand(client, id, command);
    const lost = (): void => settle(() => resolve({ code: "L", output: EMPTY }));
    void checkOn(client, id, { isOver: () => over, resend: () => sendCommand(client, id, command), lost });
    if (options.signal.aborted) interrupt();
  });
}

interface Checked {
  isOver: () => boolean;
  resend: () => void;
  /** The command had begun, and nothing is left that says how it ended. */
  lost: () => void;
}

/** Looks after a command until it is over, so that it waits for nothing that will not come. Never rejects. */
async function checkOn(client: RunnerClient, id: string, command: Checked): Promise<void> {
  const seen = { began: false, notTaken: 0, noShell: 0 };
  for (let asked = 0; ; asked += 1) {
    await sleep(seen.began ? CHECK_AGAIN_MS : CHECK_AFTER_MS, undefined, { ref: false });
    if (command.isOver()) {
      // One that took its time may have ended what watches over its output.
      if (asked > 0) await client.request("tend", []).catch(() => null);
      return;
    }
    const answer = await client.request("check", [id], { timeoutMs: CHECK_AGAIN_MS }).catch(() => null);
    if (answer?.ok === false) client.close("The runner's files in the container were spoiled.");
    // Whether the runner answers at all is looked after elsewhere.
    if (answer === null || command.isOver()) continue;
    if (!heed(answer.text, seen, command)) {
      client.close("The shell in the container takes no commands; the container must be restarted.", true);
    }
  }
}

/** False when the shell will not come to the command any more. */
function heed(text: string, seen: { began: boolean; notTaken: number; noShell: number }, command: Checked): boolean {
  const notTaken = text === "waits" || text === "gone";
  seen.began ||= text === "began";
  seen.notTaken = notTaken ? seen.notTaken + 1 : 0;
  seen.noShell = text === "none" ? seen.noShell + 1 : 0;
  if (seen.began && seen.notTaken > 1) command.lost();
  else if (text === "gone" && !seen.began) command.resend();
  return seen.notTaken < MAX_NOT_TAKEN && seen.noShell < MAX_NO_SHELL;
}

function sendCommand(client: RunnerClient, id: string, command: string): void {
  if (command.length <= MAX_LINE) return client.send(`r ${id} ${escapeText(command)}`);
  const content = Buffer.from(command + COMMAND_END);
  client.send(`R ${id} ${content.length}`, content);
}

/** Asks for new output until the call is over. Never rejects: what is missed is in the result. */
async function follow(client: RunnerClient, id: string, live: LiveOutput, isOver: () => boolean): Promise<void> {
  let first = "first";
  let pause: number = FOLLOW_AGAIN_MS.none;
  while (!isOver()) {
    const answer = await client.request("follow", [id, String(live.bytes), first]).catch(() => null);
    if (answer === null || !answer.ok || isOver()) return;
    first = "again";
    const chunk = answer.payload ?? Buffer.alloc(0);
    if (chunk.length > 0) live.add(chunk);
    if (chunk.length >= FOLLOW_BYTES) pause = FOLLOW_AGAIN_MS.full;
    else if (chunk.length > 0) pause = FOLLOW_AGAIN_MS.some;
    else pause = Math.min(FOLLOW_AGAIN_MS.longest, Math.max(FOLLOW_AGAIN_MS.none, pause * 1.3));
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

async function collect(client: RunnerClient, id: string, end: CallEnd, spillName: string): Promise<Collected> {
  if (end.output !== null && end.output.length <= FOLLOW_BYTES) return { bytes: end.output, truncated: null };
  try {
    const answer = await client.request("collect", [id, spillName], { timeoutMs: 60_000 });
    const payload = answer.payload;
    const split = payload?.indexOf("\n") ?? -1;
    const facts = /^(\d{1,15}) (\S+)$/.exec(payload?.toString("latin1", 0, Math.max(0, split)) ?? "");
    if (!answer.ok || payload === null || facts === null) throw new RequestTimeout("an answer that makes no sense");
    const bytes = payload.subarray(split + 1);
    const total = Number(facts[1]);
    if (total <= OUTPUT_LIMIT) return { bytes, truncated: null };
    return {
      bytes: bytes.subarray(-OUTPUT_LIMIT),
      truncated: { bytes: total, file: facts[2] === "-" ? null : (facts[2] ?? null) },
    };
  } catch (error) {
    if (error instanceof ChannelClosed) throw error;
    // The call has ended and is kept: on another channel its output can be asked for again.
    client.close("The output of a command could not be collected from the container.");
    throw new ChannelClosed("The output of a command could not be collected from the container.");
  }
}
