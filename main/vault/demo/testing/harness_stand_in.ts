/** Plays the harness and the sandbox for the demo model: files in memory, a test runner that knows the demo's programs. */
import { checkRequest } from "../../../../e2e/model_server/checks/request.ts";
import { ThinkingLedger } from "../../../../e2e/model_server/checks/thinking.ts";
import { readConversation } from "../conversation.ts";
import { nextMove } from "../play.ts";
import { messageOf } from "../stream.ts";
import { PROGRAM, RUN, TEST } from "../tasks.ts";

export const CUT_OFF = "The run was cut off; it may or may not have taken effect. Inspect the state before repeating.";

export interface Outcome {
  text: string;
  is_error: boolean;
}

interface Call {
  id: string;
  name: string;
  input: Record<string, unknown>;
}

/** Stands between a call and the sandbox; `index` counts all calls. */
export type Disturbance = (
  index: number,
  call: Call,
  run: () => Promise<Outcome>,
  files: Map<string, string>,
) => Promise<Outcome>;

const TOOLS = ["bash", "read", "write", "edit", "glob", "grep"].map((name) => ({
  name,
  input_schema: { type: "object" },
}));
const LIMITS = { "longhaul-demo": { context: 200_000, max_output: 32_000, prefill: false } };
const MAX_ROUNDS = 60;

export class Session {
  readonly files = new Map<string, string>();
  messages: { role: string; content: unknown[] }[] = [];
  texts: string[] = [];
  calls: Call[] = [];
  rounds = 0;
  readonly #tools: { name: string }[];
  readonly #runTest: (files: Map<string, string>) => Promise<Outcome>;
  readonly #disturb: Disturbance;

  constructor(options: {
    disturb?: Disturbance;
    tools?: string[];
    runTest?: (files: Map<string, string>) => Promise<Outcome>;
  }) {
    this.#disturb = options.disturb ?? ((_index, _call, run) => run());
    this.#tools = TOOLS.filter((tool) => options.tools?.includes(tool.name) ?? true);
    this.#runTest = options.runTest ?? (async (files) => judge(files));
  }

  /** Sends a message and goes on until the turn ends; every request is checked as strictly as the real API does. */
  async say(text: string, beforeRequest: (session: Session) => void = () => undefined): Promise<string> {
    const last = this.messages.at(-1);
    if (last?.role === "user") last.content.push({ type: "text", text });
    else this.messages.push({ role: "user", content: [{ type: "text", text }] });
    for (;;) {
      beforeRequest(this);
      const answer = this.ask();
      this.messages.push({ role: "assistant", content: answer.content });
      this.texts.push(answer.text);
      if (answer.calls.length === 0) return answer.text;
      const results = await Promise.all(answer.calls.map((call) => this.#execute(call)));
      const content = results.map((result, i) => ({
        type: "tool_result",
        tool_use_id: answer.calls[i]?.id,
        content: result.text,
        is_error: result.is_error,
      }));
      this.messages.push({ role: "user", content });
    }
  }

  /** One request of this conversation, `extra` text appended as a harness does for a compaction. */
  ask(extra?: string): { content: unknown[]; text: string; calls: Call[] } {
    this.rounds += 1;
    if (this.rounds > MAX_ROUNDS) throw new Error(`the demo does not come to an end:\n${this.texts.join("\n")}`);
    const messages = structuredClone(this.messages);
    if (extra !== undefined) messages.at(-1)?.content.push({ type: "text", text: extra });
    const request = {
      model: "longhaul-demo",
      max_tokens: 32_000,
      messages,
      ...(this.#tools.length > 0 ? { tools: this.#tools } : {}),
    };
    checkRequest(request, "create", LIMITS, new ThinkingLedger("unused"));
    const usage = { input_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, cache_creation: null };
    const message = messageOf(nextMove(readConversation(request)), messages, usage);
    const content = message.content.map((block) =>
      block.type === "text" ? { type: "text", text: block.text } : block,
    );
    const calls = message.content.flatMap((block) =>
      block.type === "tool_use"
        ? [{ id: block.id, name: block.name, input: block.input as Record<string, unknown> }]
        : [],
    );
    const text = message.content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
    return { content, text, calls };
  }

  async #execute(call: Call): Promise<Outcome> {
    const index = this.calls.length;
    this.calls.push(call);
    return this.#disturb(index, call, () => this.#run(call), this.files);
  }

  async #run({ name, input }: Call): Promise<Outcome> {
    const path = String(input.file_path);
    const content = this.files.get(path);
    if (name === "write") {
      this.files.set(path, String(input.content));
      return { text: `wrote ${String(input.content).length} bytes to ${path}`, is_error: false };
    }
    if (name === "bash") return this.#bash(String(input.command));
    if (content === undefined) return { text: `${path}: no such file`, is_error: true };
    if (name === "read") return { text: content, is_error: false };
    const count = content.split(String(input.old_string)).length - 1;
    if (count !== 1) return { text: `old_string appears ${count} times in ${path}; it must be unique`, is_error: true };
    this.files.set(
      path,
      content.replace(String(input.old_string), () => String(input.new_string)),
    );
    return { text: `edited ${path} (1 replacement)`, is_error: false };
  }

  async #bash(command: string): Promise<Outcome> {
    if (command === RUN) return this.#runTest(this.files);
    const content = this.files.get(command.replace(/^cat /, ""));
    if (content === undefined) return { text: "cat: No such file or directory", is_error: true };
    return { text: content.trimEnd(), is_error: false };
  }
}

/** What the test prints for these files, without running Python. */
export function judge(files: Map<string, string>): Outcome {
  const program = files.get(PROGRAM);
  const test = files.get(TEST);
  if (program === undefined || test === undefined) return { text: "python3: can't open file", is_error: true };
  const wantsFormat = test.includes("import format_duration");
  if (wantsFormat && !program.includes("def format_duration")) {
    return {
      text: "Traceback (most recent call last):\nImportError: cannot import name 'format_duration' from 'duration'",
      is_error: true,
    };
  }
  if (program.includes("* UNITS")) return { text: `${wantsFormat ? 13 : 8} checks passed`, is_error: false };
  return { text: "FAIL parse_duration('2m') gives 2, expected 120\n3 of 8 checks failed", is_error: true };
}
