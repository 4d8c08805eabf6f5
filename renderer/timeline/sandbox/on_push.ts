/** Pushes of the agent: asked for, decided on, made. */
import type { LonghaulEventOf, StoredEvent } from "../../../main/contract/events.ts";
import { visible } from "../../format/visible.ts";
import { addNotice } from "../on_fact.ts";
import type { Timeline } from "../timeline.ts";

type PushEvent = LonghaulEventOf<"longhaul.push_requested" | "longhaul.push_decided" | "longhaul.pushed">;

export function onPush(timeline: Timeline, event: PushEvent, stored: StoredEvent): void {
  if (event.type === "longhaul.push_decided") {
    const what = event.result === "allow" ? "You allowed the push" : "You denied the push";
    const detail = visible(event.deny_message ?? "");
    return void addNotice(timeline, stored, { code: "push", lane: "you", tone: "note", what, detail });
  }
  const to = `${visible(repositoryName(event.repository_url))} as ${visible(shortBranch(event.branch))}`;
  const asked = event.type === "longhaul.push_requested";
  addNotice(timeline, stored, {
    code: "push",
    lane: asked ? "you" : "sandbox",
    tone: "note",
    what: asked ? `Wants to push to ${to}` : `Pushed to ${to}`,
    detail: event.new.slice(0, 10),
  });
}

/** Host and path, as people say it. */
export function repositoryName(url: string): string {
  return url.replace(/^https?:\/\//, "").replace(/\.git$/, "");
}

export function shortBranch(ref: string): string {
  return ref.replace(/^refs\/heads\//, "");
}
