/** `GET /v1/sessions/{id}/events/stream`: the contract's events as they happen, with previews for who asks for them. */
import { invalid } from "../../../contract/errors.ts";
import { isContractEvent } from "../../../contract/events.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { Query } from "../../http/query.ts";
import { type Follower, followSession } from "../../sse/follow.ts";
import { type Inbox, liveKey } from "../../sse/inbox.ts";
import { PreviewGate, type PreviewType } from "../../sse/preview_gate.ts";
import type { SseWriter } from "../../sse/writer.ts";
import { publicEvent } from "./public.ts";

const PREVIEW_TYPES = ["agent.message", "agent.thinking"] as const;
const MAX_DELTAS = 100;

export function mountEventStream(api: Api, deps: Deps): void {
  api.get("/v1/sessions/:id/events/stream", (c) => streamEvents(c, deps));
}

/** The stream that the request asks for: only what happens after it opened. */
export function streamEvents(c: ApiContext, deps: Deps): Promise<Response> {
  const deltas = new Set<PreviewType>(previewTypes(c));
  const sessionId = param(c, "id");
  return followSession(deps, {
    sessionId,
    requestId: c.get("requestId"),
    path: c.req.path,
    afterSeq: null,
    hydrate: true,
    live: deltas.size > 0 ? "watch" : "none",
    activity: false,
    follower: (writer, inbox) => publicFollower(deps, sessionId, deltas, writer, inbox),
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

function publicFollower(
  deps: Deps,
  sessionId: string,
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
          if (input !== null) writer.frame(input.event.type, { ...input.event, processed_at: stored.created_at });
        }
        return;
      }
      if (!isContractEvent(event)) return;
      gate.stored(event);
      writer.frame(event.type, publicEvent(event));
    },
    item(item) {
      if (item.type !== "live" || item.frame.type !== "preview") return;
      if (writer.congested) {
        inbox.shed(liveKey(item.frame));
        return;
      }
      const { frame } = item.frame;
      if (gate.admits(frame)) writer.frame(frame.type, frame);
    },
    deleted(stored) {
      writer.frame(stored.event.type, stored.event);
    },
  };
}
