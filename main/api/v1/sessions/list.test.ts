import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, startRig } from "../../testing/rig.ts";

interface Page {
  data: { id: string }[];
  next_page: string | null;
  prev_page: string | null;
}

let rig: Rig;
/** Newest first. */
let ids: string[];
let agentId: string;
beforeAll(async () => {
  rig = await startRig();
  const agent = await rig.client.beta.agents.create({ name: "a", model: "m" });
  const environment = await rig.client.beta.environments.create({ name: "e" });
  agentId = agent.id;
  ids = [];
  for (let n = 0; n < 7; n += 1) {
    const session = await rig.client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });
    ids.unshift(session.id);
  }
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

async function page(query: string): Promise<Page> {
  const answer = await rig.request(`/v1/sessions?${query}`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Page;
}

const idsOf = ({ data }: Page) => data.map((session) => session.id);

describe("GET /v1/sessions", () => {
  test.each(["asc", "desc"])("every page can be read forwards and backwards again, order %s", async (order) => {
    const wanted = order === "desc" ? ids : [...ids].reverse();
    const first = await page(`limit=3&order=${order}`);
    expect([idsOf(first), first.prev_page]).toEqual([wanted.slice(0, 3), null]);
    const second = await page(`limit=3&order=${order}&page=${first.next_page}`);
    expect(idsOf(second)).toEqual(wanted.slice(3, 6));
    const third = await page(`limit=3&order=${order}&page=${second.next_page}`);
    expect([idsOf(third), third.next_page]).toEqual([wanted.slice(6), null]);
    const back = await page(`limit=3&order=${order}&page=${third.prev_page}`);
    expect(idsOf(back)).toEqual(wanted.slice(3, 6));
    const start = await page(`limit=3&order=${order}&page=${back.prev_page}`);
    expect([idsOf(start), start.prev_page]).toEqual([wanted.slice(0, 3), null]);
    expect(idsOf(await page(`limit=3&order=${order}&page=${start.next_page}`))).toEqual(wanted.slice(3, 6));
  });

  test("the SDK walks all pages", async () => {
    const seen: string[] = [];
    for await (const session of rig.client.beta.sessions.list({ limit: 2 })) seen.push(session.id);
    expect(seen).toEqual(ids);
  });

  test("filters by status across batches, agent, version and time", async () => {
    rig.orchestrator.set(ids[1] ?? "", "running");
    rig.orchestrator.set(ids[5] ?? "", "queued");
    const running: string[] = [];
    for await (const session of rig.client.beta.sessions.list({ limit: 1, statuses: ["running", "terminated"] })) {
      running.push(session.id);
    }
    expect(running).toEqual([ids[1], ids[5]]);
    rig.orchestrator.set(ids[1] ?? "", null);
    rig.orchestrator.set(ids[5] ?? "", null);
    expect((await page(`agent_id=${agentId}&agent_version=1`)).data).toHaveLength(7);
    expect((await page(`agent_id=${agentId}&agent_version=2`)).data).toHaveLength(0);
    expect((await page("agent_id=agent_none")).data).toHaveLength(0);
    expect((await page("agent_version=2")).data).toHaveLength(7);
    expect((await page("memory_store_id=memstore_1")).data).toHaveLength(0);
    expect((await page("created_at[gt]=2999-01-01T00:00:00Z")).data).toHaveLength(0);
    expect((await page("created_at%5Blte%5D=2999-01-01T00:00:00Z")).data).toHaveLength(7);
  });

  test("a cursor may be used with other filters and another limit, and both directions filter by status", async () => {
    const { next_page } = await page("limit=2");
    expect(idsOf(await page(`limit=4&page=${next_page}`))).toEqual(ids.slice(2, 6));
    expect(idsOf(await page(`limit=4&page=${next_page}&agent_id=agent_none`))).toEqual([]);
    for (const index of [0, 2, 5]) rig.orchestrator.set(ids[index] ?? "", "running");
    const filter = "statuses[]=running&statuses[]=rescheduling&limit=1";
    const last = await page(
      `${filter}&page=${(await page(`${filter}&page=${(await page(filter)).next_page}`)).next_page}`,
    );
    expect([idsOf(last), last.next_page]).toEqual([[ids[5]], null]);
    const back = await page(`${filter}&page=${last.prev_page}`);
    expect(idsOf(back)).toEqual([ids[2]]);
    // What runs may have ended between two pages: each page tells what is true when it is asked for.
    rig.orchestrator.set(ids[0] ?? "", null);
    const before = await page(`${filter}&page=${back.prev_page}`);
    expect([idsOf(before), before.prev_page]).toEqual([[], null]);
    for (const index of [2, 5]) rig.orchestrator.set(ids[index] ?? "", null);
  });

  test("times are compared to the millisecond, digits beyond it by what they mean, and need a zone", async () => {
    const [newest] = (await page("limit=1")).data as unknown as { created_at: string }[];
    const at = newest?.created_at ?? "";
    const count = async (bound: string, time: string) =>
      (await page(`limit=1000&created_at[${bound}]=${encodeURIComponent(time)}`)).data.length;
    const inside = at.replace("Z", "5Z");
    expect(await count("gte", at)).toBeGreaterThan(await count("gt", at));
    expect(await count("lte", at)).toBeGreaterThan(await count("lt", at));
    expect(await count("gte", inside)).toBe(await count("gt", at));
    expect(await count("gt", inside)).toBe(await count("gt", at));
    expect(await count("lt", inside)).toBe(await count("lte", at));
    expect(await count("lte", inside)).toBe(await count("lte", at));
    expect(await count("lte", at.replace("Z", "+00:00"))).toBe(ids.length);
    expect(await count("gte", "2020-01-01")).toBe(ids.length);
    const local = await rig.request("/v1/sessions?created_at[gt]=2026-01-01T10:00:00");
    expect(local.status).toBe(400);
  });

  test("a cursor with another order, or none of ours, is refused in the contract's words", async () => {
    const { next_page } = await page("limit=3");
    const refused = async (query: string) => {
      const answer = await rig.request(`/v1/sessions?${query}`);
      return [answer.status, ((await answer.json()) as { error: { message: string } }).error.message];
    };
    expect(await refused(`page=${next_page}&order=asc`)).toEqual([400, "page token order does not match request"]);
    expect(await refused("page=nonsense")).toEqual([400, "invalid page cursor"]);
    expect(await refused("statuses[]=busy")).toEqual([
      400,
      expect.stringContaining("`statuses[]` must hold values from"),
    ]);
    expect(await refused("order=up")).toEqual([400, expect.stringContaining("`order` must be one of asc, desc")]);
  });
});
