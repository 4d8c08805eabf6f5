/** `client.beta.environments.work`, its `poller` and `worker`, and sessions whose tools a worker runs. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Anthropic from "@anthropic-ai/sdk";
import { describe, expect, test } from "vitest";
import { ASK } from "../model_script.ts";
import { createSession, message, untilEvent, untilIdle } from "../sessions.ts";
import { all, refused, type Use, unique } from "../stand.ts";

export function workFlows(use: Use): void {
  /** A self-hosted environment, its key, and a session in it that waits for a worker. */
  const hosted = async (text = `${ASK.command}echo from the worker`) => {
    const { client, product, withKey } = use();
    const environment = await client.beta.environments.create({ name: unique("env"), config: { type: "self_hosted" } });
    const environment_id = environment.id;
    const { value: key } = await product.local<{ value: string }>(`/environments/${environment_id}/keys`, {
      method: "POST",
      body: "{}",
    });
    const session = await createSession(client, { environment_id, initial_events: [message(text)] });
    return { environment_id, key, session, keyed: withKey(key), work: client.beta.environments.work };
  };
  const polled = async (keyed: Anthropic, environment_id: string) => {
    const item = await keyed.beta.environments.work.poll(environment_id, { block_ms: 999 });
    if (item === null) throw new Error("no work was offered");
    return item;
  };

  describe("work", () => {
    test("poll, ack, heartbeat, list, retrieve, update, stats, stop", async () => {
      const { environment_id, session, keyed, work } = await hosted();
      const item = await polled(keyed, environment_id);
      expect(item).toMatchObject({ state: "queued", data: { type: "session", id: session.id }, environment_id });
      expect((await all(keyed.beta.environments.work.list(environment_id))).map(({ id }) => id)).toEqual([item.id]);
      expect(await keyed.beta.environments.work.ack(item.id, { environment_id })).toMatchObject({ state: "starting" });
      const beat = await keyed.beta.environments.work.heartbeat(item.id, {
        environment_id,
        expected_last_heartbeat: "NO_HEARTBEAT",
      });
      expect(beat).toMatchObject({ lease_extended: true, type: "work_heartbeat" });
      expect(await work.retrieve(item.id, { environment_id })).toMatchObject({
        id: item.id,
        state: "active",
        secret: null,
      });
      expect((await work.update(item.id, { environment_id, metadata: { a: "1" } })).metadata).toEqual({ a: "1" });
      expect(await work.stats(environment_id)).toMatchObject({ type: "work_queue_stats", depth: 0 });
      expect((await work.stop(item.id, { environment_id, force: true })).state).toBe("stopped");
      expect(await keyed.beta.environments.work.poll(environment_id, { block_ms: 1 })).toBeNull();
    });

    test("refusals", async () => {
      const { environment_id, keyed, work } = await hosted();
      const none = "work_none";
      const own = keyed.beta.environments.work;
      await refused(own.poll("env_none", { block_ms: 1 }), 403);
      await refused(own.poll(environment_id, { block_ms: 100_000 }), 400);
      await refused(own.ack(none, { environment_id }), 404);
      await refused(own.heartbeat(none, { environment_id }), 404);
      await refused(own.list(environment_id, { limit: 0 }), 400);
      await refused(work.list(environment_id), 403);
      await refused(work.retrieve(none, { environment_id }), 404);
      await refused(work.update(none, { environment_id, metadata: {} }), 404);
      await refused(work.stats("env_none"), 404);
      await refused(work.stop(none, { environment_id }), 404);
      const item = await polled(keyed, environment_id);
      await own.ack(item.id, { environment_id });
      await own.heartbeat(item.id, { environment_id, expected_last_heartbeat: "NO_HEARTBEAT" });
      await refused(own.heartbeat(item.id, { environment_id, expected_last_heartbeat: "2020-01-01T00:00:00Z" }), 412);
      await work.stop(item.id, { environment_id, force: true });
      await refused(work.stop(item.id, { environment_id, force: true }), 409);
    });

    test("the SDK's poller offers the item; with a wrong key it ends", async () => {
      const { environment_id, key, session } = await hosted();
      const poller = use().client.beta.environments.work.poller({
        environmentId: environment_id,
        environmentKey: key,
        drain: true,
      });
      const items: string[] = [];
      for await (const item of poller) {
        items.push(item.data.id);
        // One that is given back without an answer is offered again.
        break;
      }
      expect(items).toEqual([session.id]);
      const gone = use().client.beta.environments.work.poller({ environmentId: "env_none", environmentKey: key });
      await expect(all(gone)).rejects.toMatchObject({ status: expect.any(Number) });
    });

    test("the SDK's worker runs the session's tools to the end; with another environment it ends", async () => {
      const { environment_id, key, session } = await hosted();
      const { client } = use();
      const workdir = mkdtempSync(join(tmpdir(), "longhaul-worker-"));
      const stop = new AbortController();
      const options = { environmentKey: key, workdir, maxIdleMs: 200 };
      const running = client.beta.environments.work
        .worker({ ...options, environmentId: environment_id, signal: stop.signal })
        .run();
      const result = await untilEvent(client, session.id, "user.tool_result");
      expect(result).toMatchObject({ content: [{ text: "from the worker" }] });
      await untilEvent(client, session.id, "agent.message");
      await untilIdle(client, session.id);
      stop.abort();
      await running;
      const gone = client.beta.environments.work.worker({ ...options, environmentId: "env_none" });
      await expect(gone.run()).rejects.toMatchObject({ status: expect.any(Number) });
      const lost = client.beta.environments.work.worker({ ...options, environmentId: environment_id });
      const item = { workId: "work_none", sessionId: session.id, environmentId: environment_id, environmentKey: key };
      // An item that it cannot hold is given up without a word.
      await expect(lost.handleItem(item)).resolves.toBeUndefined();
      rmSync(workdir, { recursive: true, force: true });
    });
  });
}
