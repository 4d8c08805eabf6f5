/** A real repository: the published source of an npm package with its tests, committed, with work in progress on top. */
import { execFileSync } from "node:child_process";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Reply, ScriptRequest } from "../model_server/script.ts";
import { tempDir } from "./serve.ts";

const PACKAGE = new URL("../../node_modules/fast-uri", import.meta.url).pathname;
const FILE = "lib/schemes.js";
const BEFORE = "'wss', 'urn', 'urn:uuid'])";
const AFTER = "'wss', 'urn', 'urn:uuid', 'urn:oid'])";

/** Runs git in a repository of the tests, with an identity and without this machine's settings. */
export function git(repo: string, ...args: string[]): string {
  return execFileSync("git", ["-C", repo, "-c", "user.name=Tester", "-c", "user.email=t@example.test", ...args], {
    encoding: "utf8",
    env: { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" },
  });
}

/** Copies the package into a fresh repository; one file is edited and not committed. */
export function realRepository(): string {
  const repo = join(tempDir(), "fast-uri");
  cpSync(PACKAGE, repo, { recursive: true, filter: (path) => !path.includes("node_modules", PACKAGE.length) });
  git(repo, "init", "--quiet", "--initial-branch", "main");
  git(repo, "add", "--all");
  git(repo, "commit", "--quiet", "--message", "Import the package");
  const readme = join(repo, "README.md");
  writeFileSync(readme, `${readFileSync(readme, "utf8")}\nWork in progress.\n`);
  return repo;
}

/** Plays an agent that looks around, reads, edits one line and checks it. Reacts to where the repository is mounted. */
export function editScript(request: ScriptRequest): Reply {
  const mount =
    /repository is at (\S+?)\.(?:\s|"|\\n|$)/.exec(JSON.stringify(request.body.system))?.[1] ?? "/workspace";
  const file_path = `${mount}/${FILE}`;
  const call = (name: string, input: Record<string, unknown>): Reply => ({
    content: [{ type: "tool_use", name, input }],
  });
  switch (request.turn) {
    case 0:
      return call("grep", { pattern: "supportedSchemeNames =", path: mount });
    case 1:
      return call("read", { file_path, view_range: [1, 10] });
    case 2:
      return call("edit", { file_path, old_string: BEFORE, new_string: AFTER });
    case 3:
      return call("bash", { command: `cd ${mount} && grep -c "urn:oid" ${FILE} && tail -n 1 README.md` });
    default:
      return { content: [{ type: "text", text: `Added urn:oid. Check: ${[...request.results.values()][0]?.text}` }] };
  }
}

/** The repository as it should be after the patch: exactly the one change on top of what was there. */
export function expectExactChange(repo: string, patch: string): { changed: string[]; line: string } {
  const before = git(repo, "status", "--porcelain");
  execFileSync("git", ["-C", repo, "apply", "--check", "-"], { input: patch });
  execFileSync("git", ["-C", repo, "apply", "-"], { input: patch });
  const after = git(repo, "status", "--porcelain");
  const changed = after.split("\n").filter((line) => line !== "" && !before.split("\n").includes(line));
  const diff = git(repo, "diff", "--unified=0", "--", FILE);
  const line = diff
    .split("\n")
    .filter((each) => /^[+-][^+-]/.test(each))
    .join("\n");
  return { changed, line };
}

export const EXACT_CHANGE = { changed: [` M ${FILE}`], line: `-  ${BEFORE}\n+  ${AFTER}` };
