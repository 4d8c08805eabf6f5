/** Rebuilds the exact request that a model span was made with, from events alone. */
import type { LonghaulEventOf } from "../../contract/events.ts";
import { foldEvent, type SessionFold } from "../../contract/fold.ts";
import type { RequestContext } from "../../contract/local_api.ts";
import { activeOutcome } from "../../contract/outcome/outcomes.ts";
import { threadFold } from "../../contract/threads/view.ts";
import type { BlobStore, Catalog } from "../../session/catalog.ts";
import type { Ledger } from "../../session/ledger.ts";
import { McpToolbox } from "../mcp/toolbox.ts";
import { graderRequest } from "../outcome/grader_request.ts";
import { withFiles } from "./files.ts";
import { type BuiltRequest, bodyHash, buildRequest } from "./request.ts";
import { Transcript } from "./transcript.ts";

export interface RequestSources {
  ledger: Ledger;
  catalog: Catalog;
  blobs: BlobStore;
}

type Sent = LonghaulEventOf<"longhaul.model_request"> & { seq: number; thread_id: string };

/** The request of a `span.model_request_start`; null when the session has no such span. */
export async function rebuildRequest(
  sources: RequestSources,
  sessionId: string,
  spanId: string,
): Promise<RequestContext | null> {
  const { ledger } = sources;
  const sent = await findSent(ledger, sessionId, spanId);
  if (sent === null) return null;
  const transcript = new Transcript();
  let mcp = McpToolbox.EMPTY;
  let fold: SessionFold | null = null;
  for await (const stored of ledger.getEvents(sessionId, { before_seq: sent.seq })) {
    fold = foldEvent(fold, stored);
    if (stored.thread_id !== sent.thread_id) continue;
    transcript.apply(stored);
    mcp = mcp.after(stored);
  }
  if (fold === null) return null;
  const thread = threadFold(fold, sent.thread_id);
  const outcome = activeOutcome(thread);
  const { kind, shortened } = sent;
  let built: BuiltRequest;
  if (kind !== "grading") built = buildRequest(thread, transcript, { kind, shortened }, mcp);
  else if (outcome === null) return null;
  else built = await graderRequest(ledger, thread, outcome, { shortened, before_seq: sent.seq });
  const body = await withFiles(built.body, sources.catalog, sources.blobs);
  const sha256 = bodyHash(body);
  return {
    model_request_start_id: spanId,
    request: JSON.parse(body) as Record<string, unknown>,
    bytes: Buffer.byteLength(body),
    sha256,
    matches: sha256 === sent.request_sha256,
  };
}

async function findSent(ledger: Ledger, sessionId: string, spanId: string): Promise<Sent | null> {
  for await (const { event, seq, thread_id } of ledger.getEvents(sessionId, { types: ["longhaul.model_request"] })) {
    if (event.type === "longhaul.model_request" && event.model_request_start_id === spanId)
      return { ...event, seq, thread_id };
  }
  return null;
}
