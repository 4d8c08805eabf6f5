/** From a conversation to the messages of a request, valid for the Messages API whatever the conversation holds. */
import { textBlock } from "./blocks.ts";

/** One message: its blocks as JSON texts, so that a request is joined rather than serialised again at every step. */
export interface Message {
  role: "user" | "assistant" | "system";
  blocks: string[];
}

const SYSTEM_HEAD =
  "<system_message>\nThe operator of this session gives the following instruction, with the authority of the system prompt. It holds from here on.";
const SYSTEM_TAIL = "</system_message>";

/**
 * The messages as JSON texts: they begin and end as the API wants, and each system message stands where it is allowed.
 * Growing a conversation at its end leaves the texts of the messages before it as they were.
 * @param extra text of one more user block
 * @param systemRole false: the endpoint knows no system messages, so they are put into the user's turn, marked
 */
export function messageTexts(
  conversation: readonly Message[],
  extra: string | undefined,
  systemRole: boolean,
): string[] {
  const messages: Message[] = conversation.map(({ role, blocks }) => ({ role, blocks }));
  if (messages[0]?.role !== "user") messages.unshift({ role: "user", blocks: [textBlock("Begin.")] });
  if (messages.at(-1)?.role === "assistant") messages.push({ role: "user", blocks: [textBlock("Go on.")] });
  if (extra !== undefined) addUser(messages, [textBlock(extra)]);
  const hasSystem = messages.some(({ role }) => role === "system");
  const placed = !hasSystem ? messages : systemRole ? withSystem(messages) : withMarkedSystem(messages);
  return placed.map(({ role, blocks }) => `{"role":"${role}","content":[${blocks.join(",")}]}`);
}

function addUser(messages: Message[], blocks: string[]): void {
  const last = messages.at(-1);
  if (last?.role === "user") last.blocks = [...last.blocks, ...blocks];
  else messages.push({ role: "user", blocks });
}

/** A system message follows a user's, and only an answer follows it: where none came, a placeholder stands for it. */
function withSystem(messages: readonly Message[]): Message[] {
  const placed: Message[] = [];
  for (const message of messages) {
    const before = placed.at(-1)?.role;
    if (message.role === "user" && before === "system") {
      placed.push({ role: "assistant", blocks: [textBlock("(No answer was given here.)")] });
    }
    if (message.role === "system" && before === "assistant") {
      placed.push({ role: "user", blocks: [textBlock("(A system message follows.)")] });
    }
    placed.push(message);
  }
  return placed;
}

function withMarkedSystem(messages: readonly Message[]): Message[] {
  const placed: Message[] = [];
  for (const { role, blocks } of messages) {
    if (role === "assistant") placed.push({ role, blocks });
    else addUser(placed, role === "user" ? blocks : [textBlock(SYSTEM_HEAD), ...blocks, textBlock(SYSTEM_TAIL)]);
  }
  return placed;
}
