/** From the official SDK to what the model endpoint receives: the API over a real harness and a strict model server. */
import { toFile } from "@anthropic-ai/sdk";
import type { BetaManagedAgentsEventParams } from "@anthropic-ai/sdk/resources/beta/sessions/events";
import { afterEach, describe, expect, test } from "vitest";
import { call, type Script, type ScriptRequest, say } from "../../../../../e2e/model_server/script.ts";
import { type Rig as Harness, startRig as startHarness } from "../../../../orchestration/testing/rig.ts";
import { type Rig, startRig } from "../../../testing/rig.ts";

let harness: Harness;
let rig: Rig;
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  expect(harness.errors).toEqual([]);
  expect(harness.server.requests.map(({ rejected }) => rejected)).toEqual(harness.server.requests.map(() => null));
  await rig[Symbol.asyncDispose]();
  await harness.close();
});

async function start(script: Script, limits: Parameters<typeof startHarness>[1] = {}): Promise<void> {
  harness = await startHarness(script, limits);
  const { ledger, orchestrator } = harness;
  const { catalog, blobs, live } = harness.ports;
  rig = await startRig({ ledger, orchestrator, catalog, blobs, live });
}

/** Sends events and waits until the session settles. */
async function send(id: string, ...events: BetaManagedAgentsEventParams[]): Promise<void> {
  await rig.client.beta.sessions.events.send(id, { events });
  await harness.orchestrator.settled(id);
}

/** Messages of the n-th request that the endpoint got; default: of the last one. */
function received(index = -1) {
  const messages = harness.server.requests.at(index)?.body?.messages ?? [];
  return messages.map(({ role, content }) => ({ role, content: content as Record<string, unknown>[] }));
}

const upload = async (bytes: string | Buffer, name: string): Promise<string> =>
  (await rig.client.beta.files.upload({ file: await toFile(Buffer.from(bytes), name) })).id;

const message = (text: string) => ({ type: "user.message" as const, content: [{ type: "text" as const, text }] });
const system = (text: string) => ({ type: "system.message" as const, content: [{ type: "text" as const, text }] });

const PNG = Buffer.from("89504e470d0a1a0a", "hex");
const PDF = Buffer.from("%PDF-1.7 nothing");
const png = { type: "base64" as const, media_type: "image/png", data: PNG.toString("base64") };
const pdf = { type: "base64" as const, media_type: "application/pdf", data: PDF.toString("base64") };

describe("content blocks", () => {
  test("of a message reach the model, files as their content", async () => {
    await start([say("I see.")]);
    const id = await rig.session();
    const [image, paper, notes] = [
      await upload(PNG, "a.png"),
      await upload(PDF, "b.pdf"),
      await upload("Hi \0!", "c.txt"),
    ];
    const title = "A \0 title";
    await send(id, {
      type: "user.message",
      content: [
        { type: "text", text: "Look:" },
        { type: "image", source: png },
        { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
        { type: "image", source: { type: "file", file_id: image } },
        { type: "document", source: pdf, title, context: "From the archive" },
        { type: "document", source: { type: "text", media_type: "text/plain", data: "plain" }, title: null },
        { type: "document", source: { type: "url", url: "https://example.com/b.pdf" } },
        { type: "document", source: { file_id: paper, type: "file" }, title: "Paper" },
        { type: "document", source: { type: "file", file_id: notes } },
      ],
    });
    expect(received()).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "Look:" },
          { type: "image", source: png },
          { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
          { type: "image", source: png },
          { type: "document", source: pdf, title: "A \ufffd title", context: "From the archive" },
          { type: "document", source: { type: "text", media_type: "text/plain", data: "plain" }, title: null },
          { type: "document", source: { type: "url", url: "https://example.com/b.pdf" } },
          { type: "document", source: pdf, title: "Paper" },
          { type: "document", source: { type: "text", media_type: "text/plain", data: "Hi \ufffd!" } },
        ],
      },
    ]);
  });

  const tools = [
    {
      type: "custom" as const,
      name: "find",
      description: "Finds things.",
      input_schema: { type: "object" as const, properties: {} },
    },
  ];
  const find = (request: ScriptRequest) =>
    request.results.size === 0 && request.turn === 0 ? call({ name: "find", input: {} }) : say("Found.");

  /** A session that waits for the result of its custom tool, with the id of the call. */
  async function asked(): Promise<{ id: string; custom_tool_use_id: string }> {
    const agent = await rig.client.beta.agents.create({ name: "finder", model: "claude-sonnet-5-5", tools });
    const environment = await rig.client.beta.environments.create({ name: `env ${Math.random()}` });
    const { id } = await rig.client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });
    await send(id, message("Find it."));
    const { data } = await rig.client.beta.sessions.events.list(id, { types: ["agent.custom_tool_use"] });
    return { id, custom_tool_use_id: data[0] && "id" in data[0] ? data[0].id : "" };
  }

  const hit = {
    type: "search_result" as const,
    source: "https://example.com",
    title: "A \0 hit",
    content: [{ type: "text" as const, text: "what was found" }],
    citations: { enabled: true },
  };

  test("of a custom tool's result reach the model", async () => {
    await start(find);
    const { id, custom_tool_use_id } = await asked();
    const file_id = await upload(PNG, "a.png");
    await send(id, {
      type: "user.custom_tool_result",
      custom_tool_use_id,
      content: [
        { type: "text", text: "Here:" },
        hit,
        { type: "image", source: { file_id, type: "file" } },
        { type: "document", source: pdf },
      ],
    });
    expect(received().at(-1)?.content).toEqual([
      {
        type: "tool_result",
        tool_use_id: expect.any(String),
        content: [
          { type: "text", text: "Here:" },
          { ...hit, title: "A \ufffd hit" },
          { type: "image", source: png },
          { type: "document", source: pdf },
        ],
      },
    ]);
  });

  test("a result that is an error and no text alone is told in words: the API takes no such error", async () => {
    await start(find);
    const { id, custom_tool_use_id } = await asked();
    await send(id, { type: "user.custom_tool_result", custom_tool_use_id, content: [hit], is_error: true });
    const [result] = received().at(-1)?.content ?? [];
    expect(result).toMatchObject({
      content: [{ type: "text", text: "[The tool reported an error.]" }, { title: "A \ufffd hit" }],
    });
    expect(result).not.toHaveProperty("is_error");
  });

  test("a file that was deleted since leaves a text that says so", async () => {
    await start([say("One."), say("Two.")]);
    const id = await rig.session();
    const [image, paper] = [await upload(PNG, "a.png"), await upload(PDF, "b.pdf")];
    await send(id, {
      type: "user.message",
      content: [
        { type: "image", source: { type: "file", file_id: image } },
        { type: "document", source: { type: "file", file_id: paper } },
      ],
    });
    await rig.client.beta.files.delete(image);
    await rig.client.beta.files.delete(paper);
    await send(id, message("And?"));
    const source = { type: "text", media_type: "text/plain", data: `[The file ${paper} was deleted.]` };
    expect(received()[0]?.content).toEqual([
      { type: "text", text: `[The file ${image} was deleted.]` },
      { type: "document", source },
    ]);
  });

  test("files that are not what their names say are refused", async () => {
    await start([]);
    const id = await rig.session();
    const image = async (bytes: string | Buffer, name: string) => {
      const block = { type: "image", source: { type: "file", file_id: await upload(bytes, name) } };
      const body = { events: [{ type: "user.message", content: [block] }] };
      const answer = await rig.request(`/v1/sessions/${id}/events`, { method: "POST", body });
      return ((await answer.json()) as { error: { message: string } }).error.message;
    };
    expect(await image("GIF89a", "a.png")).toMatch(/does not begin like a file of its type, image\/png/);
    expect(await image("", "a.png")).toMatch(/is empty/);
    expect(await image(Buffer.concat([PNG, Buffer.alloc(5 * 1024 * 1024)]), "a.png")).toMatch(/takes at most 5 MB/);
  });

  test("a system message behind a tool's result stands behind the user's turn that carries it", async () => {
    await start(find);
    const { id, custom_tool_use_id } = await asked();
    await send(
      id,
      { type: "user.custom_tool_result", custom_tool_use_id, content: [{ type: "text", text: "42" }] },
      system("It is a secret."),
    );
    expect(received().slice(-2)).toMatchObject([
      { role: "user", content: [{ type: "tool_result" }] },
      { role: "system", content: [{ type: "text", text: "It is a secret." }] },
    ]);
  });
});

describe("system messages", () => {
  const roles = (index?: number) => received(index).map(({ role }) => role);

  test("stand behind their message in every later request, byte for byte", async () => {
    await start((request) => say(`Answer ${request.turn}.`));
    const id = await rig.session();
    await send(id, message("Hello."));
    await send(id, message("Go on."), system("Be brief."));
    await send(id, message("More."));
    expect(roles(0)).toEqual(["user"]);
    expect(roles(1)).toEqual(["user", "assistant", "user", "system"]);
    expect(roles(2)).toEqual(["user", "assistant", "user", "system", "assistant", "user"]);
    const [second, third] = harness.server.requests.slice(1).map(({ raw }) => raw);
    const head = second?.subarray(0, -2) ?? Buffer.alloc(0);
    expect(third?.subarray(0, head.length).equals(head)).toBe(true);
    const { data } = await rig.client.beta.sessions.events.list(id, { types: ["user.message", "system.message"] });
    expect(data.map(({ type }) => type)).toEqual(["user.message", "user.message", "system.message", "user.message"]);
    expect(data.every((event) => "processed_at" in event && event.processed_at !== null)).toBe(true);
  });

  test("are answered before what was sent after them", async () => {
    await start((request) => say(`Answer ${request.turn}.`));
    const id = await rig.session();
    await rig.client.beta.sessions.events.send(id, { events: [message("One."), system("First.")] });
    await rig.client.beta.sessions.events.send(id, { events: [message("Two."), system("Second.")] });
    await harness.orchestrator.settled(id);
    expect(roles()).toEqual(["user", "system", "assistant", "user", "system"]);
    expect(harness.server.requests).toHaveLength(2);
  });

  test("hold beyond a compaction, also for a process that starts after it", async () => {
    await start(
      (request) =>
        request.lastText.includes("Write a summary")
          ? say("SUMMARY")
          : { ...say("Well."), ...(request.turn === 0 && request.index === 0 ? { output_tokens: 500 } : {}) },
      { compact_at_tokens: 500 },
    );
    const id = await rig.session();
    await send(id, message("Hello."), system("Be brief."));
    await send(id, message("Again."), system("And kind."));
    const kept = [
      { type: "text", text: "Be brief." },
      { type: "text", text: "And kind." },
    ];
    const after = received();
    expect(after[0]?.content[0]?.text).toContain("SUMMARY");
    expect(after[1]).toEqual({ role: "system", content: kept });
    expect(after).toHaveLength(2);
    // The view is made anew at each wake.
    await send(id, message("Still?"));
    expect(received()[1]).toEqual({ role: "system", content: kept });
    expect(roles()).toEqual(["user", "system", "assistant", "user"]);
  });

  test("an interrupted turn leaves a conversation that can go on", async () => {
    await start((request) => (request.index === 0 ? { kind: "hang" } : say("Yes.")));
    const id = await rig.session();
    await rig.client.beta.sessions.events.send(id, { events: [message("Hello."), system("Be brief.")] });
    await expect.poll(() => harness.server.requests.length).toBe(1);
    await send(id, { type: "user.interrupt" });
    await send(id, message("Now?"));
    expect(roles()).toEqual(["user", "system", "assistant", "user"]);
    expect(received()[2]?.content).toEqual([{ type: "text", text: "(No answer was given here.)" }]);
  });
});
