/** Pushes that wait for a person: what the broker tells the engine of one, and what a session knows of its own. */

export interface PushedCommit {
  id: string;
  /** First line of the message; the agent's words. */
  subject: string;
}

/** A push as the broker saw it. */
export interface Push {
  /** Id of the session's resource. */
  resource_id: string;
  repository_url: string;
  /** The full name of the ref. */
  branch: string;
  /** Zeros when the branch is made by this push. */
  old: string;
  new: string;
  /** The newest ones, at most ten. */
  commits: PushedCommit[];
}

/** A push that a person was asked about, the latest of its branch; gone once it has passed. */
export interface PushRequest extends Push {
  request_id: string;
  at: string;
  state: "waiting" | "allowed" | "denied";
}

/** True for pushes that are the same: the same commits for the same place. */
export function isSamePush(one: Push, other: Push): boolean {
  return isSameBranch(one, other) && one.old === other.old && one.new === other.new;
}

export function isSameBranch(one: Push, other: Push): boolean {
  return one.repository_url === other.repository_url && one.branch === other.branch;
}

/** Headers between engine and broker. Those of the sandbox never get that far. */
export const PUSH_HEADERS = {
  /** To the broker: pushes of this repository that a person allowed, `old:new` with commas between them. */
  approved: "longhaul-push-approved",
  /** To the broker: the same of those that a person denied. */
  denied: "longhaul-push-denied",
  /** To the engine: the push was not passed on, for it waits; a {@link Push} as base64url of JSON. */
  waits: "longhaul-push-waits",
  /** To the engine: the push was passed on; `old:new`. */
  passed: "longhaul-push-passed",
} as const;
