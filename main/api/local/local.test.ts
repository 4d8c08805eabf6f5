import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import type { SessionSummary, SessionSummaryPage } from "../../contract/local_api.ts";
import { type Rig, startRig } from "../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

async function get<T>(path: string): Promise<T> {
  const answer = await rig.request(`/longhaul/v1/${path}`);
  expect(answer.status, path).toBe(200);
  return (await answer.json()) as T;
}
const status = async (path: string, init = {}) => (await rig.request(`/longhaul/v1/${path}`, init)).status;

describe("sessions", () => {
  test("are listed by newest activity in pages, archived ones included unless unwanted", async () => {
    await using own = await startRig();
    const ids = [await own.session(), await own.session(), await own.session()];
    await new Promise((resolve) => setTimeout(resolve, 5));
    await own.emit(ids[0] ?? "", { type: "session.status_running" });
    await own.client.beta.sessions.archive(ids[1] ?? "");
    const list = async (query: string) =>
      (await (await own.request(`/longhaul/v1/sessions?${query}`)).json()) as SessionSummaryPage;
    const first = await list("limit=2");
    expect(first.data.map(({ id }) => id)).toEqual([ids[1], ids[0]]);
    const second = await list(`limit=2&page=${first.next_page}`);
    expect([second.data.map(({ id }) => id), second.next_page]).toEqual([[ids[2]], null]);
    expect((await list("include_archived=false")).data.map(({ id }) => id)).toEqual([ids[0], ids[2]]);
    expect((await own.request("/longhaul/v1/sessions?page=zzz")).status).toBe(400);
  });

  test("a summary says what runs and what is left", async () => {
    const id = await rig.session({ title: "t" });
    expect(await get<SessionSummary>(`sessions/${id}`)).toMatchObject({
      id,
      activity: null,
      work: "none",
      fold: { title: "t" },
    });
    rig.orchestrator.set(id, "queued");
    expect((await get<SessionSummary>(`sessions/${id}`)).activity).toBe("queued");
    rig.orchestrator.set(id, null);
    expect(await status("sessions/sesn_none")).toBe(404);
  });

  test("stored events are read by position, local ones included", async () => {
    const id = await rig.session();
    await rig.emit(
      id,
      { type: "session.status_running" },
      { type: "longhaul.tool_started", tool_use_id: "x", attempt: 1 },
    );
    type Page = { data: { seq: number; event: { type: string } }[]; next_after: number | null };
    const first = await get<Page>(`sessions/${id}/events?limit=2`);
    expect(first.data.map(({ event }) => event.type)).toEqual(["longhaul.session_created", "session.status_running"]);
    const rest = await get<Page>(`sessions/${id}/events?limit=2&after=${first.next_after}`);
    expect([rest.data.map(({ seq }) => seq), rest.next_after]).toEqual([[3], null]);
    expect(await status(`sessions/${id}/events?after=-1`)).toBe(400);
  });
});

describe("wake", () => {
  const wake = (id: string, body: unknown = {}) =>
    rig.request(`/longhaul/v1/sessions/${id}/wake`, { method: "POST", ...(body === undefined ? {} : { body }) });
  const asked = async (id: string) => {
    let count = 0;
    for await (const _ of rig.ledger.getEvents(id, { types: ["longhaul.resume_requested"] })) count += 1;
    return count;
  };

  test("a session without unfinished work is only woken", async () => {
    const id = await rig.session();
    expect((await wake(id)).status).toBe(200);
    expect((await rig.request(`/longhaul/v1/sessions/${id}/wake`, { method: "POST" })).status).toBe(200);
    expect(await asked(id)).toBe(0);
    expect(rig.orchestrator.wakes.at(-1)).toEqual({ sessionId: id, reason: "user" });
  });

  test("a turn that died, one that waits for a retry, and one cut off too often are asked to go on", async () => {
    const user: EventDraft = { type: "user.message", content: [{ type: "text", text: "x" }] };
    const begun = async () => {
      const id = await rig.session();
      const [stored] = await rig.emit(id, user);
      await rig.emit(id, { type: "longhaul.inputs_consumed", event_ids: [stored?.event.id ?? ""] });
      return id;
    };
    const died = await begun();
    await rig.emit(died, {
      type: "session.status_idle",
      stop_reason: { type: "retries_exhausted" },
      stop_details: null,
    });
    expect((await get<SessionSummary>(`sessions/${died}`)).work).toBe("stopped");
    expect(((await (await wake(died, { reason: "user" })).json()) as SessionSummary).work).toBe("now");
    expect(await asked(died)).toBe(1);

    const waits = await begun();
    const at = new Date(Date.now() + 60_000).toISOString();
    await rig.emit(waits, {
      type: "longhaul.retry_scheduled",
      attempt: 1,
      at,
      error_type: "x",
      waits_for_network: false,
    });
    await wake(waits);
    expect(await asked(waits)).toBe(1);

    const cut = await begun();
    await rig.emit(cut, {
      type: "longhaul.cut_off",
      cause: "engine_died",
      last_event_at: at,
      noticed_at: at,
      calls_in_flight: [],
      model_request_in_flight: null,
    });
    await wake(cut);
    expect(await asked(cut)).toBe(1);
  });

  test("bad bodies, unknown and ended sessions are refused", async () => {
    const id = await rig.session();
    expect((await wake(id, { reason: "network" })).status).toBe(400);
    expect((await wake("sesn_none")).status).toBe(404);
    await rig.client.beta.sessions.archive(id);
    expect((await wake(id)).status).toBe(400);
  });
});

test("health, search, request contexts, changes and blobs", async () => {
  const id = await rig.session({
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "find the needle" }] }],
  });
  expect(await get("health")).toMatchObject({ auto_resume: true });
  expect((await get<{ data: { session_id: string }[] }>("search?q=needle")).data[0]?.session_id).toBe(id);
  for (const odd of ["", "%22", "*", "a AND", "(", "%00", "'--"])
    expect(await status(`search?q=${odd}`), odd).toBe(200);
  expect(await get(`sessions/${id}/requests/sevt_known`)).toMatchObject({ matches: true });
  expect(await status(`sessions/${id}/requests/sevt_none`)).toBe(404);
  expect(await get(`sessions/${id}/changes`)).toEqual({ data: [] });
  expect(await status("sessions/sesn_none/changes")).toBe(404);
  const sha = await rig.ports.blobs.put(Buffer.from("body"));
  expect(await (await rig.request(`/longhaul/v1/blobs/${sha}`)).text()).toBe("body");
  expect(await status(`blobs/${"0".repeat(64)}`)).toBe(404);
  expect(await status("blobs/..%2f..%2fetc%2fpasswd")).toBe(400);
});
