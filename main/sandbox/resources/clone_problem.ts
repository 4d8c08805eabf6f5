/** What kept a repository from being cloned, in the contract's kinds of `session.error`. */
import type { RepositoryProblem } from "../port.ts";

/** What the git route said, if git failed by its word: its sentence, and which kind of problem it named. */
export function routeFailure(said: string): { text: string; problem: RepositoryProblem } | null {
  const told = /^remote: Longhaul: (.*?) \[repository_(authentication|forbidden|not_found|clone)\]\s*$/m.exec(said);
  return told === null ? null : { text: told[1] ?? "", problem: told[2] as RepositoryProblem };
}

/**
 * Reads git's own words. Kinds that look alike are asked for in order: a missing branch is "not found" too, and a proxy
 * that refuses says 403 like a host does.
 */
export function cloneProblem(said: string): RepositoryProblem {
  const told = routeFailure(said);
  if (told !== null) return told.problem;
  if (/Remote branch .* not found|pathspec|did not match|couldn't find remote ref/i.test(said)) return "checkout";
  if (/CONNECT tunnel|from proxy|resolve (host|proxy)|Connection (refused|timed out)|Failed to connect/i.test(said)) {
    return "clone";
  }
  if (/could not read Username|Authentication failed|terminal prompts disabled|error: 401/i.test(said)) {
    return "authentication";
  }
  if (/error: 403|Permission .*denied|access denied/i.test(said)) return "forbidden";
  if (/error: 404|not found/i.test(said)) return "not_found";
  return "clone";
}
