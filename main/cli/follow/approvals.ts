/** Tool calls that wait for a person: asked at a terminal, explained elsewhere. */
import { asksPerson, type OpenCall, shownToolName, waitsForClient } from "../../contract/fold_calls.ts";
import { openCalls } from "../../contract/threads/view.ts";
import type { AccountState } from "../account/account.ts";
import { note } from "../account/rows.ts";
import { harmless, type Style } from "../account/words.ts";
import { apiText, type LocalClient } from "../client.ts";
import type { Terminal } from "../terminal.ts";
import type { Interrupts } from "./interrupts.ts";

export interface ApprovalOptions {
  client: LocalClient;
  terminal: Terminal;
  style: Style;
  session_id: string;
  state: AccountState;
  json: boolean;
  interrupts: Interrupts;
}

interface Confirmation {
  type: "user.tool_confirmation";
  tool_use_id: string;
  result: "allow" | "deny";
  deny_message?: string;
}

/**
 * Asks about every call that waits and sends the answers.
 * @param answered ids of calls that were answered here; filled in, and not asked about again while the answer is on its way
 * @returns false when nobody can be asked, or the person gave no answer: the calls go on waiting
 */
export async function answerCalls(options: ApprovalOptions, answered: Set<string>): Promise<boolean> {
  const { client, terminal, state, session_id, json } = options;
  const waiting = waitingCalls(state).filter((call) => !answered.has(call.id));
  // A custom tool's result is made by a program; there is nothing that a person could type here.
  if (json || !terminal.interactive || waiting.some((call) => !asksPerson(call))) return false;
  const events: Confirmation[] = [];
  for (const call of waiting) {
    const answer = await askAbout(options, call);
    // Ctrl+C at the question interrupts the turn, which answers every call: following goes on to see that.
    if (answer === null) return options.interrupts.asked && !options.interrupts.leaving.aborted;
    events.push(answer);
  }
  if (events.length === 0) return true;
  for (const { tool_use_id } of events) answered.add(tool_use_id);
  const sdk = await client.sdk();
  await sdk.beta.sessions.events.send(session_id, { events }).catch((error: unknown) => {
    // Answered in another window meanwhile: the timeline shows that answer, and following goes on.
    terminal.out(note(options.style, `The answer was not taken: ${apiText(error)}`, "yellow"));
  });
  return true;
}

/** A worker's calls are answered by the worker. */
function waitsForAnswer(call: OpenCall): boolean {
  return call.kind === "custom" ? waitsForClient(call) : asksPerson(call);
}

async function askAbout(
  { terminal, style, state, interrupts }: ApprovalOptions,
  call: OpenCall,
): Promise<Confirmation | null> {
  const pressed = new AbortController();
  const signal = AbortSignal.any([interrupts.leaving, pressed.signal]);
  const press = (): void => {
    interrupts.press();
    pressed.abort();
  };
  terminal.out(note(style, callText(state, call), "bold"));
  for (;;) {
    const answer = await terminal.ask(`Allow ${shownToolName(call)}? [y]es, [n]o: `, signal, press);
    if (answer === null) return null;
    const word = answer.trim().toLowerCase();
    if (word === "y" || word === "yes")
      return { type: "user.tool_confirmation", tool_use_id: call.id, result: "allow" };
    if (word === "n" || word === "no") {
      const reason = await terminal.ask("Reason for the model (may be empty): ", signal, press);
      if (reason === null) return null;
      const told = reason.trim() === "" ? {} : { deny_message: reason.trim() };
      return { type: "user.tool_confirmation", tool_use_id: call.id, result: "deny", ...told };
    }
  }
}

/** The exact input: a person must not approve what the line above has cut short. */
function callText(state: AccountState, call: OpenCall): string {
  const input = state.calls[call.id]?.input;
  const fields = typeof input === "object" && input !== null ? Object.entries(input) : [];
  const lines = fields.map(([name, value]) => {
    const text = typeof value === "string" ? value.trimEnd() : JSON.stringify(value);
    return `  ${name}: ${text.replaceAll("\n", "\n    ")}`;
  });
  return harmless(
    [
      `${shownToolName(call)} ${call.kind === "mcp" ? "outside of the sandbox" : "in the session's sandbox"}:`,
      ...lines,
    ].join("\n"),
  );
}

function waitingCalls({ fold }: AccountState): OpenCall[] {
  return fold === null ? [] : openCalls(fold).filter(waitsForAnswer);
}

/** How to answer when this terminal cannot ask. */
export function howToAnswer(state: AccountState, sessionId: string): string {
  const waiting = waitingCalls(state);
  const names = waiting.map((call) => `${shownToolName(call)} (${call.id})`).join(", ");
  const custom = waiting.some((call) => !asksPerson(call));
  const how = custom
    ? "The program or worker that offers the tool answers with its result."
    : `Answer with \`longhaul resume ${sessionId}\` in a terminal, in the app, or with a user.tool_confirmation event through the API.`;
  return `The session waits for you: ${names}. ${how} It waits as long as it takes; nothing is lost.`;
}
