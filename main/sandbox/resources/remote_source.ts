/** Repositories that are attached by URL, for sandboxes without git: this machine's own git fetches them. */
import { join } from "node:path";
import type { SessionResource } from "../../contract/events.ts";
import type { RepositoryProblem } from "../port.ts";
import { cloneProblem } from "./clone_problem.ts";
import { GitFailure, git } from "./git.ts";

type RemoteRepository = Extract<SessionResource, { type: "github_repository" }>;

/** The repository cannot be had; `message` says why and what to do. */
export class RepositoryUnavailable extends Error {
  override readonly name = "RepositoryUnavailable";
  readonly problem: RepositoryProblem;

  constructor(message: string, problem: RepositoryProblem) {
    super(message);
    this.problem = problem;
  }
}

/** Where this machine's git finds repositories of sessions, without their tokens. */
export interface RepositoryRemotes {
  /** @returns address, and a header that each request needs. Rejects with {@link RepositoryUnavailable}. */
  remote(sessionId: string, url: string): Promise<{ url: string; header: string }>;
}

const CLONE_MS = 15 * 60_000;

/**
 * Clones into the new folder `target`, without files of a work tree. Resolves with the commit that `checkout` names.
 * Rejects with {@link RepositoryUnavailable}.
 */
export async function cloneRemote(
  remotes: RepositoryRemotes,
  sessionId: string,
  { url, checkout }: Pick<RemoteRepository, "url" | "checkout">,
  target: string,
): Promise<string> {
  const remote = await remotes.remote(sessionId, url);
  const env = {
    GIT_ALLOW_PROTOCOL: "http",
    // In the environment, because everybody on this machine can read a program's arguments.
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "http.extraHeader",
    GIT_CONFIG_VALUE_0: remote.header,
  };
  const http = ["-c", "protocol.http.allow=always", "-c", "http.proxy="];
  const run = async (cwd: string, ...args: string[]) =>
    (await git([...http, ...args], { cwd, env, timeoutMs: CLONE_MS })).toString("utf8").trim();
  try {
    await run(join(target, ".."), "clone", "-q", "--no-checkout", "--template=", "--", remote.url, target);
    if (checkout?.type === "commit") {
      const has = await run(target, "cat-file", "-t", checkout.sha).catch(() => null);
      if (has === null) await run(target, "fetch", "-q", "origin", checkout.sha);
    }
    const name =
      checkout == null ? "HEAD" : checkout.type === "branch" ? `refs/remotes/origin/${checkout.name}` : checkout.sha;
    return await run(target, "rev-parse", "--verify", "-q", `${name}^{commit}`);
  } catch (error) {
    if (!(error instanceof GitFailure)) throw error;
    const missing = checkout != null && !/unable to access|RPC failed|not installed/.test(error.message);
    const problem = missing ? "checkout" : cloneProblem(error.message);
    const what = missing ? ` Check the checkout (${JSON.stringify(checkout)}).` : "";
    throw new RepositoryUnavailable(`${url} could not be cloned: ${lastLine(error.message)}${what}`, problem);
  }
}

function lastLine(text: string): string {
  return (text.trim().split("\n").at(-1) ?? "").replace(/[.\s]*$/, ".");
}
