/** `/longhaul/v1/sessions/{id}/pushes/{request_id}`: a person's word on a push that the agent wants to make. */
import { ApiError, invalid, notFound } from "../../../contract/errors.ts";
import type { EventDraft } from "../../../contract/events.ts";
import { pushDecisionBody } from "../../../contract/schemas/local.ts";
import type { PushRequest } from "../../../contract/vaults/pushes.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param } from "../../http/context.ts";
import { existingSession, isOver } from "../../v1/sessions/session.ts";
import { summaryOf } from "../summary.ts";

export function mountPushes(api: Api, deps: Deps): void {
  api.post("/longhaul/v1/sessions/:id/pushes/:request", async (c) => {
    const [id, request] = [param(c, "id"), param(c, "request")];
    const { result, deny_message = null } = await readBody(c, pushDecisionBody);
    await deps.serial.run(id, async () => {
      const { fold } = await existingSession(deps, id);
      if (isOver(fold)) invalid(`Session ${id} is over and read-only: nothing is pushed from it any more.`);
      const push = (fold.pushes ?? []).find(({ request_id }) => request_id === request) ?? notFound("Push", request);
      if (push.state !== "waiting") {
        throw new ApiError("conflict_error", `Push ${request} is decided already: it was ${push.state}.`);
      }
      const decided: EventDraft = { type: "longhaul.push_decided", request_id: request, result, deny_message };
      // The agent hears of it as of anything that a person says: its command has ended long ago.
      const told: EventDraft = {
        type: "user.message",
        content: [{ type: "text", text: textOf(push, result, deny_message) }],
      };
      await deps.ledger.emitEvents(id, [decided, told]);
    });
    await deps.orchestrator.wake(id, "client_event");
    return c.json(summaryOf(deps, await existingSession(deps, id)));
  });
}

function textOf(
  { repository_url, branch, new: to }: PushRequest,
  result: "allow" | "deny",
  reason: string | null,
): string {
  const what = `the push of ${to.slice(0, 12)} to ${branch.replace(/^refs\/heads\//, "")} of ${repository_url}`;
  if (result === "allow") return `I approved ${what}. Push it again, unchanged.`;
  return `I denied ${what}. Do not try it again.${reason === null ? "" : ` ${reason}`}`;
}
