import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { BrokerModel } from "../../harness/broker_model.ts";

const STREAM = [
  { type: "message_start", message: { id: "msg_1", type: "message", role: "assistant", content: [], usage: {} } },
  { type: "message_stop" },
]
  .map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  .join("");

const asked: IncomingHttpHeaders[] = [];
const broker = createServer((request, response) => {
  if (request.url === "/control/capabilities") {
    response.end(JSON.stringify({ token: "capability" }));
    return;
  }
  asked.push(request.headers);
  // The first capability was forgotten, as after a restart: it is asked for once more.
  if (asked.length === 1) response.writeHead(401, { "longhaul-refused": "capability" }).end("{}");
  else response.writeHead(200, { "content-type": "text/event-stream" }).end(STREAM);
});
afterEach(() => broker.close());

test("the betas that a body needs are sent with it, also when it is sent again; without any there is no header", async () => {
  await new Promise<void>((resolve) => broker.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(broker.address() as AddressInfo).port}`;
  const model = new BrokerModel({ broker: () => ({ url, launch_secret: "secret", pid: 1 }), idleMs: 5_000 });
  const types = async (betas?: string[]) => {
    const seen: string[] = [];
    for await (const event of model.stream("sesn_1", "{}", new AbortController().signal, betas)) seen.push(event.type);
    return seen;
  };
  expect(await types(["fast-mode-2026-02-01", "other"])).toEqual(["message_start", "message_stop"]);
  await types();
  expect(asked.map((headers) => headers["anthropic-beta"])).toEqual([
    "fast-mode-2026-02-01,other",
    "fast-mode-2026-02-01,other",
    undefined,
  ]);
  model.client.dropConnections();
});
