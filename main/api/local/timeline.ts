/** `GET /longhaul/v1/sessions/{id}/timeline?after=<seq>`: history, then live, without a gap and without a repeat. */
import { invalid } from "../../contract/errors.ts";
import type { TimelineFrame } from "../../contract/local_api.ts";
import { type Api, type Deps, param } from "../http/context.ts";
import { Query } from "../http/query.ts";
import { type Follower, followSession } from "../sse/follow.ts";
import { type Inbox, liveKey } from "../sse/inbox.ts";
import { PreviewGate } from "../sse/preview_gate.ts";
import type { SseWriter } from "../sse/writer.ts";
import { existingSession } from "../v1/sessions/session.ts";
import { summaryOf } from "./summary.ts";

const MAX_SEQ = 999_999_999_999;

export function mountTimeline(api: Api, deps: Deps): void {
  api.get("/longhaul/v1/sessions/:id/timeline", async (c) => {
    const afterSeq = new Query(c).integer("after", 0, MAX_SEQ) ?? 0;
    const { id: sessionId, last_seq } = await existingSession(deps, param(c, "id"));
    if (afterSeq > last_seq) {
      invalid(
        `\`after\` is ${afterSeq}, but the session ends at ${last_seq}: this is not the ledger you read before. Read again from 0.`,
      );
    }
    return followSession(deps, {
      sessionId,
      requestId: c.get("requestId"),
      path: c.req.path,
      afterSeq,
      hydrate: false,
      live: "join",
      activity: true,
      standing: null,
      follower: (writer, inbox) => timelineFollower(deps, sessionId, writer, inbox),
    });
  });
}

function timelineFollower(deps: Deps, sessionId: string, writer: SseWriter, inbox: Inbox): Follower {
  const gate = new PreviewGate(new Set(["agent.message", "agent.thinking"]));
  const send = (frame: TimelineFrame) => writer.frame(frame.type, frame);
  let told = "";
  const tellActivity = async () => {
    const record = await deps.ledger.getSession(sessionId);
    if (record === null) return;
    const { activity, work } = summaryOf(deps, record);
    const state = `${activity} ${work}`;
    if (state === told) return;
    told = state;
    send({ type: "activity", activity, work });
  };
  return {
    event(stored) {
      gate.stored(stored);
      send({ type: "stored", stored });
    },
    async caughtUp(seq) {
      send({ type: "caught_up", seq });
      await tellActivity();
    },
    async item(item) {
      if (item.type !== "live") {
        await tellActivity();
        return;
      }
      if (writer.congested) {
        inbox.shed(liveKey(item.frame));
        return;
      }
      if (item.frame.type !== "preview" || gate.admits(item.frame.frame, item.frame.thread_id)) send(item.frame);
    },
    deleted: () => send({ type: "deleted" }),
  };
}
