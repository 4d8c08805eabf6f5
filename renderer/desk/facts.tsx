/** Small facts about sessions that several places show. */
import type { SessionFold } from "../../main/contract/fold.ts";
import { millis } from "../format/times.ts";
import { go } from "../store/route.ts";
import { isHosted, kindOf, networkOf } from "./sandbox/settings.ts";

/** The last part of a path: what a person calls the folder. */
export function folderName(path: string): string {
  return path.split(/[\\/]/).filter(Boolean).at(-1) ?? path;
}

/** Up to when a session has been running: a clock that an engine left behind when it died has not gone on. */
export function ranUntil(fold: SessionFold, running: boolean): number {
  return running ? Date.now() : millis(fold.updated_at);
}

/** Says that no real model answers here, and leads to where one is set up. */
export function DemoBadge() {
  return (
    <button
      type="button"
      data-testid="demo-badge"
      title="A script that comes with Longhaul answers in place of a model. It costs nothing and needs no network. Set up a model endpoint in the settings."
      onClick={() => go({ screen: "settings" })}
      className="shrink-0 rounded-sm border border-model/50 px-1.5 text-meta text-model hover:bg-hover"
    >
      offline demo
    </button>
  );
}

/** Where calls run, in one sentence. */
export function sandboxText(fold: SessionFold): string {
  const kind = kindOf(fold);
  if (isHosted(fold)) return "on the machine of the environment's worker";
  if (kind === "docker") return "in this session's container";
  if (kind === "embedded") return "in this session's embedded sandbox, on a copy of the files";
  return "in this session's sandbox, which is made for it";
}

/** What the sandbox can reach, in one sentence. */
export function networkText(fold: SessionFold): string {
  const kind = kindOf(fold);
  if (isHosted(fold)) return networkOf(fold.environment);
  if (kind === "embedded") return "nothing outside: the embedded sandbox has no network";
  const reach = networkOf(fold.environment);
  return kind === null ? `${reach}; nothing if it is the embedded sandbox, which has no network` : reach;
}
