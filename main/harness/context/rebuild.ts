/** Rebuilds the exact request that a model span was made with, from events alone. */
import type { LonghaulEventOf, StoredEvent } from "../../contract/events.ts";
import { foldEvent, type SessionFold } from "../../contract/fold.ts";
import type { RequestContext } from "../../contract/local_api.ts";
import type { Ledger } from "../../session/ledger.ts";
import { buildRequest } from "./request.ts";
import { Transcript } from "./transcript.ts";

type Sent = LonghaulEventOf<"longhaul.model_request">;

/** The request of a `span.model_request_start`; null when the session has no such span. */
export async function rebuildRequest(
  ledger: Ledger,
  sessionId: string,
  spanId: string,
): Promise<RequestContext | null> {
  const sent = await findSent(ledger, sessionId, spanId);
  if (sent === null) return null;
  const transcript = new Transcript();
  let fold: SessionFold | null = null;
  for await (const stored of ledger.getEvents(sessionId, { before_seq: sent.through_seq + 1 })) {
    fold = foldEvent(fold, stored);
    transcript.apply(stored);
  }
  if (fold === null) return null;
  const built = buildRequest(fold, transcript, { kind: sent.kind, shortened: sent.shortened });
  return {
    model_request_start_id: spanId,
    request: JSON.parse(built.body) as Record<string, unknown>,
    bytes: Buffer.byteLength(built.body),
    sha256: built.sha256,
    matches: built.sha256 === sent.request_sha256,
  };
}

async function findSent(ledger: Ledger, sessionId: string, spanId: string): Promise<Sent | null> {
  for await (const { event } of ledger.getEvents(sessionId, { types: ["longhaul.model_request"] })) {
    if (isSent(event) && event.model_request_start_id === spanId) return event;
  }
  return null;
}

function isSent(event: StoredEvent["event"]): event is Sent {
  return event.type === "longhaul.model_request";
}
