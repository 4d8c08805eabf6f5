import { toFile } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../../contract/ids.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const message = (text: string) => ({ type: "user.message" as const, content: [{ type: "text" as const, text }] });

async function send(
  id: string,
  ...events: unknown[]
): Promise<{ status: number; message: string; data: { id: string }[] }> {
  const answer = await rig.request(`/v1/sessions/${id}/events`, { method: "POST", body: { events } });
  const body = (await answer.json()) as { data?: { id: string }[]; error?: { message: string } };
  return { status: answer.status, message: body.error?.message ?? "", data: body.data ?? [] };
}

/** A session with a call that asks, one that runs, and a custom one; ids in this order. */
async function blocked(): Promise<{ id: string; asks: string; runs: string; custom: string }> {
  const id = await rig.session();
  const [asks, runs, custom] = [newId("event"), newId("event"), newId("event")];
  await rig.emit(
    id,
    { type: "agent.tool_use", id: asks, name: "bash", input: { command: "ls" }, evaluated_permission: "ask" },
    { type: "agent.tool_use", id: runs, name: "read", input: {}, evaluated_permission: "allow" },
    { type: "agent.custom_tool_use", id: custom, name: "ticket", input: {} },
  );
  return { id, asks, runs, custom };
}

describe("send", () => {
  test("echoes with ids and processed_at null, appends all in order, and wakes", async () => {
    const id = await rig.session();
    const { data } = await rig.client.beta.sessions.events.send(id, {
      events: [message("one"), { type: "user.interrupt" }, message("two")],
    });
    expect(data).toMatchObject([
      { ...message("one"), processed_at: null, id: expect.stringMatching(/^sevt_/) },
      { type: "user.interrupt", processed_at: null },
      { ...message("two"), processed_at: null },
    ]);
    expect(rig.orchestrator.wakes.at(-1)).toEqual({ sessionId: id, reason: "client_event" });
    expect((await rig.client.beta.sessions.events.list(id)).data).toEqual(data);
  });

  test("images and documents of every source are taken", async () => {
    const id = await rig.session();
    const pdf = await rig.client.beta.files.upload({ file: await toFile(Buffer.from("%PDF"), "a.pdf") });
    const content = [
      { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw==" } },
      { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
      { type: "document", source: { type: "text", media_type: "text/plain", data: "hello" }, title: "t" },
      { type: "document", source: { type: "file", file_id: pdf.id }, context: null },
    ];
    expect((await send(id, { type: "user.message", content })).status).toBe(200);
  });

  const image = (source: unknown) => ({ type: "user.message", content: [{ type: "image", source }] });
  test.each<[string, unknown, RegExp]>([
    ["no events", undefined, /`events` must not be empty/],
    ["blank text", message("  \n"), /`events\[0\]\.content\[0\]\.text` must contain more than white space/],
    ["NUL", message("a\0b"), /must not contain NUL/],
    [
      "redacted blocks",
      { type: "user.message", content: [{ type: "redacted" }] },
      /content\[0\]\.type` must be one of "text", "image", "document"/,
    ],
    ["an unknown type", { type: "user.shout" }, /`events\[0\]\.type` must be one of/],
    ["a worker's result without a call", { type: "user.tool_result" }, /tool_use_id` is required/],
    [
      "redacted blocks in a result",
      { type: "user.custom_tool_result", custom_tool_use_id: "sevt_x", content: [{ type: "redacted" }] },
      /content\[0\]\.type` must be one of "text", "image", "document", "search_result"/,
    ],
    [
      "a search result in a message",
      { type: "user.message", content: [{ type: "search_result" }] },
      /content\[0\]\.type` must be one of "text", "image", "document"/,
    ],
    [
      "an image of another type than it says",
      image({ type: "base64", media_type: "image/jpeg", data: "iVBORw==" }),
      /content\[0\]\.source\.data` does not begin like a file of its `media_type`/,
    ],
    [
      "a document that is no PDF",
      {
        type: "user.message",
        content: [{ type: "document", source: { type: "base64", media_type: "application/pdf", data: "aGVsbG8=" } }],
      },
      /does not begin like a file of its `media_type`/,
    ],
    [
      "an image of more than 5 MB",
      image({ type: "base64", media_type: "image/gif", data: `R0lGODlh${"AAAA".repeat(1_800_000)}` }),
      /must be at most 5 MB/,
    ],
    ["a server's event", { type: "agent.message", content: [] }, /must be one of/],
    ["a local event", { type: "longhaul.resume_requested", by: "api" }, /must be one of/],
    ["its own id", { ...message("x"), id: "sevt_1" }, /Unknown field `events\[0\]\.id`/],
    ["its own processed_at", { ...message("x"), processed_at: null }, /Unknown field/],
    ["bad base64", image({ type: "base64", media_type: "image/png", data: "***" }), /must be standard base64/],
    [
      "an unreadable image type",
      image({ type: "base64", media_type: "image/bmp", data: "AAAA" }),
      /must be one of "image\/png"/,
    ],
    ["an unknown file", image({ type: "file", file_id: "file_none" }), /source\.file_id`: there is no file/],
    ["a local URL scheme", image({ type: "url", url: "file:///etc/passwd" }), /http or https/],
    ["another thread", { type: "user.interrupt", session_thread_id: "sthr_none" }, /has no thread/],
    [
      "a confirmation of nothing",
      { type: "user.tool_confirmation", tool_use_id: "sevt_none", result: "allow" },
      /no tool call "sevt_none" waits/,
    ],
    [
      "a result of nothing",
      { type: "user.custom_tool_result", custom_tool_use_id: "sevt_none" },
      /there is no custom tool call/,
    ],
    ["a worker's result of nothing", { type: "user.tool_result", tool_use_id: "sevt_none" }, /there is no tool call/],
  ])("refuses %s; of a request with one bad event nothing is appended", async (_, event, text) => {
    const id = await rig.session();
    const answer = await send(id, ...(event === undefined ? [] : [event, message("fine")]));
    expect(answer.message).toMatch(text);
    expect(answer.status).toBe(400);
    expect((await rig.client.beta.sessions.events.list(id)).data).toEqual([]);
  });

  test("a text file is no image", async () => {
    const id = await rig.session();
    const file = await rig.client.beta.files.upload({ file: await toFile(Buffer.from("x"), "a.txt") });
    expect((await send(id, image({ type: "file", file_id: file.id }))).message).toMatch(/is text\/plain, not an image/);
  });

  test("a confirmation must answer a call that asks, once; deny_message only goes with deny", async () => {
    const { id, asks, runs, custom } = await blocked();
    const confirm = (tool_use_id: string, more = {}) => ({
      type: "user.tool_confirmation",
      tool_use_id,
      result: "allow",
      ...more,
    });
    expect((await send(id, confirm(runs))).message).toMatch(/does not need a confirmation/);
    expect((await send(id, confirm(custom))).message).toMatch(/user\.custom_tool_result/);
    expect((await send(id, confirm(asks, { deny_message: "no" }))).message).toMatch(
      /`events\[0\]\.deny_message` is only allowed/,
    );
    expect((await send(id, confirm(asks), confirm(asks))).message).toMatch(
      /`events\[1\]\.tool_use_id`: .* was confirmed already/,
    );
    expect((await send(id, confirm(asks, { result: "deny", deny_message: "no" }))).status).toBe(200);
    expect((await send(id, confirm(asks))).message).toMatch(/was confirmed already/);
    const calls = (await rig.ledger.getSession(id))?.fold.calls;
    expect(calls?.[0]?.confirmation).toMatchObject({ result: "deny", deny_message: "no" });
  });

  test("a custom result is processed on receipt; sent again it is answered, not appended", async () => {
    const { id, custom, runs } = await blocked();
    const result = {
      type: "user.custom_tool_result",
      custom_tool_use_id: custom,
      content: [{ type: "text", text: "ok" }],
    };
    const first = await send(id, result);
    expect(first.data).toMatchObject([{ ...result, processed_at: expect.any(String) }]);
    expect((await send(id, result)).data).toEqual(first.data);
    expect((await send(id, { ...result, custom_tool_use_id: runs })).message).toMatch(/not a custom tool/);
    const page = await rig.client.beta.sessions.events.list(id, { types: ["user.custom_tool_result"] });
    expect(page.data).toHaveLength(1);
    expect((await send(id, result, message("and on"))).data).toHaveLength(2);
  });

  test("of two results at the same time one is kept", async () => {
    const { id, custom } = await blocked();
    const result = { type: "user.custom_tool_result", custom_tool_use_id: custom, content: [] };
    const both = await Promise.all([send(id, result), send(id, result)]);
    expect(both[0]?.data).toEqual(both[1]?.data);
    expect((await rig.client.beta.sessions.events.list(id, { types: ["user.custom_tool_result"] })).data).toHaveLength(
      1,
    );
  });

  test("a session that does not exist is a 404", async () => {
    expect((await send("sesn_none", message("x"))).status).toBe(404);
  });
});

describe("list", () => {
  test("is in order of processing, filters, pages, and hides local events", async () => {
    const id = await rig.session();
    const [first, second] = (await send(id, message("first"), message("second"))).data;
    await rig.emit(
      id,
      { type: "longhaul.inputs_consumed", event_ids: [second?.id ?? ""] },
      { type: "agent.message", content: [{ type: "text", text: "answer" }] },
    );
    const listed = await rig.client.beta.sessions.events.list(id);
    expect(listed.data.map((event) => event.type === "user.message" && event.id)).toEqual([
      second?.id,
      false,
      first?.id,
    ]);
    const seen: string[] = [];
    for await (const event of rig.client.beta.sessions.events.list(id, { limit: 1, order: "desc" }))
      seen.push(event.type);
    expect(seen).toEqual(["user.message", "agent.message", "user.message"]);
    expect(
      (await rig.client.beta.sessions.events.list(id, { types: ["agent.message"], limit: 1000 })).data,
    ).toHaveLength(1);
    expect((await rig.client.beta.sessions.events.list(id, { "created_at[gt]": "2999-01-01T00:00:00Z" })).data).toEqual(
      [],
    );
  });

  test("refuses bad queries", async () => {
    const id = await rig.session();
    const path = `/v1/sessions/${id}/events`;
    for (const query of ["limit=0", "page=nonsense", "order=up", "types[]=longhaul.tool_started", "created_at[gt]=x"]) {
      expect((await rig.request(`${path}?${query}`)).status, query).toBe(400);
    }
    await send(id, message("1"), message("2"));
    const page = (await (await rig.request(`${path}?limit=1`)).json()) as { next_page: string };
    const other = await rig.request(`${path}?limit=1&order=desc&page=${page.next_page}`);
    expect(await other.json()).toMatchObject({ error: { message: "page token order does not match request" } });
  });
});

test("the primary thread is listed, retrieved, and has the session's events", async () => {
  const id = await rig.session();
  await send(id, message("hello"));
  const threads = await rig.client.beta.sessions.threads.list(id);
  const thread = threads.data[0];
  expect(thread).toMatchObject({
    type: "session_thread",
    session_id: id,
    parent_thread_id: null,
    status: "idle",
    stats: null,
  });
  expect(thread?.agent).not.toHaveProperty("multiagent");
  const own = { session_id: id };
  expect(await rig.client.beta.sessions.threads.retrieve(thread?.id ?? "", own)).toEqual(thread);
  expect((await rig.client.beta.sessions.threads.list(id, { statuses: ["running"] })).data).toEqual([]);
  expect((await rig.client.beta.sessions.threads.events.list(thread?.id ?? "", own)).data).toHaveLength(1);
  expect((await refusalOf(rig.client.beta.sessions.threads.retrieve("sthr_none", own))).status).toBe(404);
  expect((await refusalOf(rig.client.beta.sessions.threads.archive(thread?.id ?? "", own))).status).toBe(400);
});
