/** `GET /v1/sessions/{id}/events/stream`: the contract's events as they happen, with previews for who asks for them. */
import { invalid } from "../../../contract/errors.ts";
import { isContractEvent, isQueuedType, type LedgerEvent } from "../../../contract/events.ts";
import { isShown } from "../../../contract/threads/visible.ts";
import { standingOf } from "../../access/access.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { Query } from "../../http/query.ts";
import { type Follower, followSession } from "../../sse/follow.ts";
import { type Inbox, liveKey } from "../../sse/inbox.ts";
import { PreviewGate, type PreviewType } from "../../sse/preview_gate.ts";
import { frameText, type SseWriter } from "../../sse/writer.ts";
import { existingSession } from "../sessions/session.ts";
import { publicEvent } from "./public.ts";

const PREVIEW_TYPES = ["agent.message", "agent.thinking"] as const;
const MAX_DELTAS = 100;

export function mountEventStream(api: Api, deps: Deps): void {
  api.get("/v1/sessions/:id/events/stream", (c) => streamEvents(c, deps));
}

/** The stream that the request asks for, of a thread or of the session: only what happens after it opened. */
export async function streamEvents(c: ApiContext, deps: Deps, threadId?: string): Promise<Response> {
  const deltas = new Set<PreviewType>(previewTypes(c));
  const sessionId = param(c, "id");
  const primary = (await existingSession(deps, sessionId)).fold.primary_thread_id;
  const shown = { threadId: threadId ?? primary, primary };
  return followSession(deps, {
    sessionId,
    requestId: c.get("requestId"),
    path: c.req.path,
    afterSeq: null,
    hydrate: true,
    live: deltas.size > 0 ? "watch" : "none",
    activity: false,
    standing: standingOf(deps, c),
    follower: (writer, inbox) => publicFollower(deps, sessionId, shown, deltas, writer, inbox),
  });
}

function previewTypes(c: ApiContext): PreviewType[] {
  const given = new Query(c).list("event_deltas", MAX_DELTAS);
  return given.map(
    (type) =>
      PREVIEW_TYPES.find((known) => known === type) ??
      invalid(`\`event_deltas[]\` must be one of ${PREVIEW_TYPES.join(", ")}.`),
  );
}

/** Frames of events that several streams show, made once. */
const frames = new WeakMap<LedgerEvent, string>();

function publicFrame(event: LedgerEvent): string {
  const known = frames.get(event);
  if (known !== undefined) return known;
  const frame = frameText(event.type, event);
  frames.set(event, frame);
  return frame;
}

function publicFollower(
  deps: Deps,
  sessionId: string,
  { threadId, primary }: { threadId: string; primary: string },
  deltas: ReadonlySet<PreviewType>,
  writer: SseWriter,
  inbox: Inbox,
): Follower {
  const gate = new PreviewGate(deltas);
  return {
    async event(stored) {
      const { event } = stored;
      if (event.type === "longhaul.inputs_consumed") {
        // The client saw them on arrival with `processed_at: null`; now they are part of the conversation.
        for (const id of event.event_ids) {
          const input = await deps.ledger.getEvent(sessionId, id);
          // An interrupt of the session is consumed by each thread that it stops: it is shown with its own.
          const isOwn = input?.thread_id === stored.thread_id && isQueuedType(input.event.type);
          if (input !== null && isOwn && isShown(input, threadId, primary))
            writer.frame(input.event.type, { ...input.event, processed_at: stored.created_at });
        }
        return;
      }
      if (!isContractEvent(event) || !isShown(stored, threadId, primary)) return;
      gate.stored(stored);
      writer.ready(publicFrame(publicEvent(event, threadId !== primary)));
    },
    item(item) {
      if (item.type !== "live" || item.frame.type !== "preview" || item.frame.thread_id !== threadId) return;
      if (writer.congested) {
        inbox.shed(liveKey(item.frame));
        return;
      }
      const { frame } = item.frame;
      if (gate.admits(frame, item.frame.thread_id)) writer.frame(frame.type, frame);
    },
    deleted(stored) {
      writer.frame(stored.event.type, stored.event);
    },
  };
}
