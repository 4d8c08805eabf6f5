/** Writes a reply or a fault to the socket, with the delays and defects that the script asks for. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault, Reply } from "./script.ts";
import { type StreamedReply, sseFrame } from "./stream.ts";

/** Sends JSON with the headers every API response carries. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  requestId: string,
  headers: Record<string, string> = {},
): void {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "request-id": requestId, ...headers });
  response.end(text);
}

/** Sends an error response, or none at all. */
export async function sendFault(
  fault: Fault,
  request: IncomingMessage,
  response: ServerResponse,
  requestId: string,
): Promise<void> {
  if (fault.first_byte_ms !== undefined) await sleep(fault.first_byte_ms);
  if ("kind" in fault) {
    if (fault.kind === "reset") request.socket.destroy();
    return;
  }
  const envelope = {
    type: "error",
    error: fault.error ?? { type: "api_error", message: "Internal server error" },
    request_id: requestId,
  };
  sendJson(response, fault.status, fault.body ?? envelope, requestId, fault.headers);
}

/** Sends the reply as one JSON message or as a stream, `signal` being the client's disconnect. */
export async function sendReply(
  reply: Reply,
  built: StreamedReply,
  stream: boolean,
  response: ServerResponse,
  requestId: string,
  signal: AbortSignal,
): Promise<void> {
  if (reply.first_byte_ms !== undefined) await sleep(reply.first_byte_ms, undefined, { signal });
  if (!stream) {
    sendJson(response, 200, built.message, requestId);
    return;
  }
  response.writeHead(200, {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "request-id": requestId,
  });
  response.flushHeaders();
  let sent = 0;
  for (const event of built.events) {
    if (signal.aborted) return;
    if (reply.fault?.after === sent && (await breakStream(reply, response))) return;
    if (sent > 0 && reply.between_events_ms !== undefined) await sleep(reply.between_events_ms, undefined, { signal });
    response.write(sseFrame(event));
    sent += 1;
  }
  response.end();
}

/** Carries out the fault; true when the stream is over. */
async function breakStream(reply: Reply, response: ServerResponse): Promise<boolean> {
  const fault = reply.fault;
  if (fault === undefined) return false;
  switch (fault.kind) {
    case "end":
      response.end();
      return true;
    case "reset":
      // What was written must reach the client before the socket is torn down, or the cut would come too early.
      await sleep(20);
      response.socket?.resetAndDestroy();
      return true;
    case "hang":
      return true;
    case "error":
      response.end(`event: error\ndata: ${JSON.stringify({ type: "error", error: fault.error })}\n\n`);
      return true;
    case "garbage":
      response.write(fault.text);
      return false;
  }
}
