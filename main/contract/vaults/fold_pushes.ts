/** The part of the fold that follows pushes which a person is asked about. */
import type { LonghaulEventOf } from "../events.ts";
import type { SessionFold } from "../fold.ts";
import { isSameBranch, isSamePush, type PushRequest } from "./pushes.ts";

type PushEvent = LonghaulEventOf<"longhaul.push_requested" | "longhaul.push_decided" | "longhaul.pushed">;

export function foldPush(next: SessionFold, event: PushEvent, at: string): void {
  const known = next.pushes ?? [];
  if (event.type === "longhaul.push_requested") {
    const { request_id, resource_id, repository_url, branch, old, new: to, commits } = event;
    const asked: PushRequest = {
      request_id,
      resource_id,
      repository_url,
      branch,
      old,
      new: to,
      commits,
      at,
      state: "waiting",
    };
    next.pushes = [...known.filter((other) => !isSameBranch(other, asked)), asked];
  } else if (event.type === "longhaul.push_decided") {
    const state = event.result === "allow" ? "allowed" : "denied";
    next.pushes = known.map((push) => (push.request_id === event.request_id ? { ...push, state } : push));
  } else {
    const pushed = { ...event, resource_id: "", commits: [] };
    next.pushes = known.filter((push) => !isSamePush(push, pushed));
  }
}

/** Pushes that wait for a person's yes or no. */
export function waitingPushes({
  pushes = [],
  archived_at,
}: Pick<SessionFold, "pushes" | "archived_at">): PushRequest[] {
  return archived_at === null ? pushes.filter(({ state }) => state === "waiting") : [];
}
