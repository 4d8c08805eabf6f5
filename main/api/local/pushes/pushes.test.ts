import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../../contract/ids.ts";
import { type Rig, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

async function asked(): Promise<{ id: string; request: string }> {
  const id = await rig.session();
  const request = newId("event");
  await rig.emit(id, {
    type: "longhaul.push_requested",
    request_id: request,
    resource_id: "sesrsc_1",
    repository_url: "https://github.com/o/n",
    branch: `refs/heads/longhaul/${id}`,
    old: "0".repeat(40),
    new: "a".repeat(40),
    commits: [{ id: "a".repeat(40), subject: "work" }],
  });
  return { id, request };
}
const decide = (id: string, request: string, body: unknown) =>
  rig.request(`/longhaul/v1/sessions/${id}/pushes/${request}`, { method: "POST", body });

async function last(id: string): Promise<unknown[]> {
  const events: unknown[] = [];
  for await (const { event } of rig.ledger.getEvents(id)) events.push(event);
  return events.slice(-2);
}

test("a yes is kept, told to the agent, and given once", async () => {
  const { id, request } = await asked();
  const answer = await decide(id, request, { result: "allow" });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ fold: { pushes: [{ request_id: request, state: "allowed" }] } });
  const text = expect.stringMatching(
    /I approved the push of aaaaaaaaaaaa to longhaul\/sesn_\w+ of https:\/\/github.com\/o\/n/,
  );
  expect(await last(id)).toMatchObject([
    { type: "longhaul.push_decided", request_id: request, result: "allow", deny_message: null },
    { type: "user.message", content: [{ type: "text", text }] },
  ]);
  expect((await decide(id, request, { result: "deny" })).status).toBe(409);
});

test("a no carries its reason", async () => {
  const { id, request } = await asked();
  expect((await decide(id, request, { result: "deny", deny_message: "Not before Monday." })).status).toBe(200);
  const text = expect.stringMatching(/I denied the push.*Not before Monday\.$/);
  expect(await last(id)).toMatchObject([{ result: "deny" }, { content: [{ text }] }]);
});

test("unknown pushes, wrong bodies and sessions that are over are refused", async () => {
  const { id, request } = await asked();
  expect((await decide(id, newId("event"), { result: "allow" })).status).toBe(404);
  expect((await decide(newId("session"), request, { result: "allow" })).status).toBe(404);
  for (const body of [{}, { result: "yes" }, { result: "allow", deny_message: "x" }, { result: "allow", more: 1 }]) {
    expect((await decide(id, request, body)).status).toBe(400);
  }
  await rig.client.beta.sessions.archive(id);
  expect((await decide(id, request, { result: "allow" })).status).toBe(400);
});

test("a session's push policy is checked where it is set", async () => {
  const id = await rig.session({ metadata: { "longhaul.push": "deny" } });
  const set = (metadata: Record<string, string | null>) =>
    rig.request(`/v1/sessions/${id}`, { method: "POST", body: { metadata } });
  expect((await set({ "longhaul.push": "allow" })).status).toBe(200);
  const wrong = await set({ "longhaul.push": "always" });
  expect([wrong.status, await wrong.text()]).toEqual([400, expect.stringContaining("longhaul.push must be")]);
  expect((await set({ "longhaul.push": null })).status).toBe(200);
  await expect(rig.session({ metadata: { "longhaul.push": "yes" } })).rejects.toThrow();
});
