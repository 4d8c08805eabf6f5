/**
 * The baseline of the overhead benchmark: a program with nothing but the SDK, in a process of its own as the engine is.
 * Told over IPC what to do; reports the absolute times (ms) at which it was about to send.
 */
import Anthropic from "@anthropic-ai/sdk";

export interface BareJob {
  url: string;
  apiKey: string;
  /** Turns of plain messages, then one conversation of tool rounds. */
  messages: number;
}

const MODEL = "claude-sonnet-5-5";

process.once("message", (job: BareJob) => void work(job));

async function work({ url, apiKey, messages: count }: BareJob): Promise<void> {
  const client = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
  const starts: number[] = [];
  const messages: Anthropic.MessageParam[] = [];
  for (let i = 0; i < count; i++) {
    messages.push({ role: "user", content: [{ type: "text", text: `message ${i}` }] });
    starts.push(performance.timeOrigin + performance.now());
    const answer = await client.messages.stream({ model: MODEL, max_tokens: 1000, messages }).finalMessage();
    messages.push({ role: "assistant", content: answer.content as Anthropic.ContentBlockParam[] });
  }
  process.send?.({ starts });
  await toolRounds(client);
  process.send?.({ done: true }, () => process.disconnect());
}

async function toolRounds(client: Anthropic): Promise<void> {
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: "steps" }];
  const tools: Anthropic.Tool[] = [{ name: "read", input_schema: { type: "object" } }];
  for (;;) {
    const answer = await client.messages.stream({ model: MODEL, max_tokens: 1000, messages, tools }).finalMessage();
    messages.push({ role: "assistant", content: answer.content as Anthropic.ContentBlockParam[] });
    const use = answer.content.find((block) => block.type === "tool_use");
    if (use === undefined) return;
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "text" }] });
  }
}
