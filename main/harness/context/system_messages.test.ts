import { afterEach, describe, expect, test } from "vitest";
import { call, say } from "../../../e2e/model_server/script.ts";
import type { EventDraft } from "../../contract/events.ts";
import { message, of, type Rig, startRig, toolset } from "../../orchestration/testing/rig.ts";
import { type Message, messageTexts } from "./messages.ts";
import { rebuildRequest } from "./rebuild.ts";

let rig: Rig | null = null;
afterEach(async () => {
  await rig?.close();
  rig = null;
});

const system = (text: string): EventDraft =>
  ({ type: "system.message", content: [{ type: "text", text }] }) as EventDraft;

async function settle({ orchestrator }: Rig, id: string): Promise<void> {
  await orchestrator.wake(id, "client_event");
  await orchestrator.settled(id);
}

const roles = ({ server }: Rig) => server.requests.at(-1)?.body?.messages.map(({ role }) => role);

describe("an interrupt", () => {
  test("takes a system message with the message that it stops", async () => {
    rig = await startRig([say("Hello.")]);
    const id = await rig.create();
    await rig.send(id, message("Stop this."), system("Be brief."), { type: "user.interrupt" });
    await settle(rig, id);
    expect(rig.server.requests).toHaveLength(0);
    const fold = (await rig.ledger.getSession(id))?.fold;
    expect(fold).toMatchObject({ inputs: [], phase: "idle", awaiting_model: false });
    expect(of(await rig.events(id), "session.status_idle")).toHaveLength(1);
    await rig.send(id, message("Now."));
    await settle(rig, id);
    expect(roles(rig)).toEqual(["user", "system", "assistant", "user"]);
  });

  test("takes one that came with a result, and leaves those of messages that are still to come", async () => {
    const custom = {
      type: "custom" as const,
      name: "ask",
      description: "Asks.",
      input_schema: { type: "object" as const },
    };
    rig = await startRig((request) =>
      request.turn === 0
        ? call({ name: "ask", input: {} }, { name: "bash", input: { command: "sleep" } })
        : say("Well."),
    );
    rig.sandbox.behaviour = () => new Promise(() => undefined);
    const id = await rig.create("Go.", { tools: [toolset("always_allow"), custom] as never });
    await expect.poll(() => rig?.sandbox.executions.length).toBe(1);
    const [use] = of(await rig.events(id), "agent.custom_tool_use");
    const answer = {
      type: "user.custom_tool_result",
      custom_tool_use_id: use?.id,
      content: [],
    } as unknown as EventDraft;
    await rig.send(id, answer, system("With the result."));
    await rig.send(id, message("Next."), system("With the next."));
    await rig.send(id, { type: "user.interrupt" });
    await rig.orchestrator.settled(id);
    expect(rig.errors).toEqual([]);
    expect(rig.server.requests.every(({ rejected }) => rejected === null)).toBe(true);
    // The interrupt ends the first turn; the message that was queued begins the next one.
    expect(of(await rig.events(id), "session.status_idle")).toHaveLength(2);
    expect(roles(rig)).toEqual(["user", "assistant", "user", "system", "assistant", "user", "system"]);
    const last = rig.server.requests.at(-1)?.body?.messages.at(-1)?.content;
    expect(last).toEqual([{ type: "text", text: "With the next." }]);
  });
});

test("a message that comes while a failed request waits to be made again joins it at once", async () => {
  let asked = 0;
  rig = await startRig(() => {
    asked += 1;
    return asked === 1 ? { status: 529, headers: { "retry-after": "3600" } } : say("Yes.");
  });
  const id = await rig.create();
  await rig.send(id, message("Hello."), system("Be brief."));
  await settle(rig, id);
  await rig.send(id, message("Are you there?"));
  await settle(rig, id);
  expect(rig.server.requests).toHaveLength(2);
  expect(roles(rig)).toEqual(["user", "system", "assistant", "user"]);
  const last = of(await rig.events(id), "span.model_request_start").at(-1);
  expect((await rebuildRequest(rig.ports, id, last?.id ?? ""))?.matches).toBe(true);
});

describe("for an endpoint without system messages", () => {
  const block = (text: string) => JSON.stringify({ type: "text", text });
  const conversation: Message[] = [
    { role: "user", blocks: [block("Hello.")] },
    { role: "system", blocks: [block("Be brief.")] },
    { role: "user", blocks: [block("And?")] },
    { role: "assistant", blocks: [block("Hi.")] },
    { role: "user", blocks: [block("Bye.")] },
    { role: "system", blocks: [block("Be kind.")] },
  ];

  test("they are marked text of the user's turn", () => {
    const messages = messageTexts(conversation, undefined, false).map((text) => JSON.parse(text));
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    expect(messages[0].content.map(({ text }: { text: string }) => text)).toEqual([
      "Hello.",
      expect.stringMatching(/^<system_message>\nThe operator of this session/),
      "Be brief.",
      "</system_message>",
      "And?",
    ]);
  });

  test("a compaction's instruction comes behind them", () => {
    const marked = messageTexts(conversation, "Sum up.", false);
    expect(marked.at(-1)).toMatch(/"Bye\.".*"Be kind\.".*<\/system_message>.*"Sum up\."/);
    const own = messageTexts(conversation, "Sum up.", true).map((text) => JSON.parse(text).role);
    expect(own.slice(-4)).toEqual(["user", "system", "assistant", "user"]);
  });
});
