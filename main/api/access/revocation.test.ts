/** What an item token and an environment key still open once they are revoked, and what never. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { hostedEnvironment, hostedSession, tokenOf } from "../testing/hosted.ts";
import { type Rig, startRig } from "../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

/** An open stream of the session; `rest` is all that comes until the server ends it. */
async function openStream(session: string, credential: string): Promise<{ rest: Promise<string> }> {
  const headers = { authorization: `Bearer ${credential}` };
  const answer = await rig.request(`/v1/sessions/${session}/events/stream`, { headers });
  expect(answer.status).toBe(200);
  return { rest: answer.text() };
}

async function held() {
  const environment = await hostedEnvironment(rig);
  const session = await hostedSession(rig, environment.id);
  const work = await environment.client.beta.environments.work.poll(environment.id);
  if (work === null) throw new Error("the session was not offered");
  const token = tokenOf(work);
  const post = (what: string) =>
    rig.request(`/v1/environments/${environment.id}/work/${work.id}/${what}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
    });
  await post("ack");
  return { environment, session, work, token, post };
}

const say = (session: string, text: string) =>
  rig.client.beta.sessions.events.send(session, {
    events: [{ type: "user.message", content: [{ type: "text", text }] }],
  });

test("a stream of an item's token shows nothing that happens after the item has stopped, and ends", async () => {
  const { environment, session, work, token } = await held();
  const stream = await openStream(session, token);
  await say(session, "for the worker");
  await rig.client.beta.environments.work.stop(work.id, { environment_id: environment.id, force: true });
  await say(session, "not for the worker any more");
  const seen = await stream.rest;
  expect(seen).toContain("for the worker");
  expect(seen).not.toContain("any more");
});

test("a stream of an environment key ends when the key is deleted", async () => {
  const { environment, session } = await held();
  const stream = await openStream(session, environment.key);
  const keys = `/longhaul/v1/environments/${environment.id}/keys`;
  const { data } = (await (await rig.request(keys)).json()) as { data: { id: string }[] };
  await rig.request(`${keys}/${data[0]?.id}`, { method: "DELETE" });
  await say(session, "too late");
  expect(await stream.rest).not.toContain("too late");
});

test("a worker still hears that its session has ended", async () => {
  const { session, token } = await held();
  const stream = await openStream(session, token);
  await rig.client.beta.sessions.archive(session);
  await rig.client.beta.sessions.delete(session);
  const seen = await stream.rest;
  expect(seen).toContain("session.status_terminated");
  expect(seen).toContain("session.deleted");
});

test("a worker's result names no file of another session", async () => {
  const { session, token } = await held();
  const form = new FormData();
  form.append("file", new Blob(["of somebody else"], { type: "text/plain" }), "private.txt");
  const headers = { authorization: `Bearer ${rig.token}` };
  const upload = await fetch(`${rig.url}/v1/files`, { method: "POST", headers, body: form });
  const { id } = (await upload.json()) as { id: string };
  const send = async (file_id: string, credential: string) => {
    const content = [{ type: "document", source: { type: "file", file_id } }];
    const answer = await rig.request(`/v1/sessions/${session}/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${credential}` },
      body: { events: [{ type: "user.tool_result", tool_use_id: "sevt_none", content }] },
    });
    return ((await answer.json()) as { error: { message: string } }).error.message;
  };
  expect(await send(id, token)).toMatch(/there is no file/);
  const file = await rig.catalog.getFile(id);
  if (file === null) throw new Error("no file");
  await rig.catalog.putFile({ ...file, id: "file_own", scope: { type: "session", id: session } });
  // Its own is let through to the next check, and so is any file for the person.
  expect(await send("file_own", token)).toMatch(/there is no tool call/);
  expect(await send(id, rig.token)).toMatch(/there is no tool call/);
});
