/** Whether a push may pass. */
import type { RepositoryGrant } from "../../../contract/vaults/grants.ts";
import type { PushedCommit } from "../../../contract/vaults/pushes.ts";
import { readAdvertisement } from "../advertisement.ts";
import type { ByteSource } from "../byte_source.ts";
import type { Remote } from "../remote.ts";
import { followOnServer } from "./ancestry.ts";
import { isZero, type PushCommands, type RefUpdate } from "./commands.ts";
import { Descent } from "./descent.ts";
import { PackCommits } from "./pack_commits.ts";

export type No = { pass: false; reason: string; text: string };
export type Verdict =
  /** `held`: what was read of the pack, to be passed on before the rest. */
  | { pass: true; remote: Remote; update: RefUpdate; commits: PushedCommit[]; held: Buffer }
  /** `reason` goes behind the rejected ref, `text` is shown as `remote: …`. */
  | No;

/** Commits of a push that are named to the person who is asked. */
const NAMED_COMMITS = 10;
const SUBJECT_CHARS = 100;

/** What can be said before the server is asked; null when nothing is wrong so far. */
export function refusalByRules(commands: PushCommands, grant: RepositoryGrant): No | null {
  const short = grant.branch.replace(/^refs\/heads\//, "");
  const how = `Push to the session's branch: git push origin HEAD:${grant.branch}`;
  if (grant.token === null) {
    return no("no token", `${grant.url} was attached without a token, so nothing is pushed to it.`);
  }
  if (grant.push === "deny")
    return no("pushes are denied", "This session may not push. Its changes can be shown and saved instead.");
  const other = commands.updates.find(({ ref }) => ref !== grant.branch);
  if (other !== undefined) {
    return no(`only ${short} may be pushed to`, `This session pushes to ${short} and to no other ref. ${how}`);
  }
  if (commands.updates.some((update) => isZero(update.new))) {
    return no("deleting is not allowed", `This session does not delete ${short}.`);
  }
  return null;
}

/**
 * Asks the server what is there, and reads of the pack what shows that nothing of it is lost. Rejects with Refusal.
 * @param source at the beginning of the pack
 * @param open opens the token; not called for what the rules refuse
 */
export async function judge(
  commands: PushCommands,
  source: ByteSource,
  grant: RepositoryGrant,
  open: () => Promise<Remote>,
): Promise<Verdict> {
  const [update] = commands.updates;
  const byRules = refusalByRules(commands, grant);
  if (byRules !== null || update === undefined) return byRules ?? no("nothing is pushed", "Nothing is pushed.");
  const remote = await open();
  const { refs } = await readAdvertisement(await remote.discover("git-receive-pack"));
  const there = refs.get(update.ref) ?? null;
  if (there !== (isZero(update.old) ? null : update.old)) {
    return no(
      "fetch first",
      `${grant.branch} is not where this push takes it to be. Fetch it, merge what is new there, then push again.`,
    );
  }
  const pack = new PackCommits(source, update.new.length);
  const descent = there === null ? null : new Descent(update.new, there);
  const commits: PushedCommit[] = [];
  const wanted = grant.push === "ask" ? NAMED_COMMITS : 0;
  for await (const commit of pack.commits()) {
    if (commits.length < wanted) commits.push({ id: commit.id, subject: commit.subject.slice(0, SUBJECT_CHARS) });
    descent?.add(commit);
    if (commits.length >= wanted && (descent === null || descent.proven)) break;
  }
  if (descent !== null && there !== null && !descent.proven) await followOnServer(remote, descent, there);
  if (descent !== null && !descent.proven) {
    return no(
      "non-fast-forward",
      `Nothing shows that this push keeps the commits that ${grant.branch} has. Forced pushes are refused: fetch the branch, merge it into your work, then push again.`,
    );
  }
  return { pass: true, remote, update, commits, held: pack.held };
}

function no(reason: string, text: string): No {
  return { pass: false, reason, text };
}
