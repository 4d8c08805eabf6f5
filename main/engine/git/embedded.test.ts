import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { SessionResource } from "../../contract/events.ts";
import type { RepositoryGrant } from "../../contract/vaults/grants.ts";
import { embeddedProvider } from "../../sandbox/embedded/provider.ts";
import type { ProvisionStep, SandboxProvider } from "../../sandbox/port.ts";
import { provisionRequest, runTool } from "../../sandbox/testing/bench.ts";
import { fingerprint } from "../../sandbox/testing/repositories.ts";
import { type GitWay, gitWay } from "./testing/way.ts";

vi.setConfig({ testTimeout: 60_000 });
const TOKEN = "tok_5f2c9e81d04b7a63";
const HOST = join(import.meta.dirname, "../../sandbox/embedded/host.ts");
let way: GitWay;
let dataDir = "";
let provider: SandboxProvider;
const steps: ProvisionStep[] = [];

beforeEach(async () => {
  way = await gitWay();
  way.server.make("o/n");
  way.server.accounts = [`*:${TOKEN}`];
  dataDir = mkdtempSync(join(tmpdir(), "longhaul-embedded-git-"));
  provider = embeddedProvider({ dataDir, hostEntry: HOST, remotes: way.git });
  steps.length = 0;
});
afterEach(async () => {
  await provider.destroy(way.session);
  await provider.close();
  rmSync(dataDir, { recursive: true, force: true });
  await way[Symbol.asyncDispose]();
});

type Remote = Extract<SessionResource, { type: "github_repository" }>;
function resource({ resource_id, url }: RepositoryGrant, more: Partial<Remote> = {}): Remote {
  const times = { created_at: "", updated_at: "" };
  return { id: resource_id, type: "github_repository", url, mount_path: "/workspace/repo", ...times, ...more };
}
const request = (...resources: Remote[]) =>
  provisionRequest(way.session, { resources, onStep: (step) => steps.push(step) });

test("this machine's git fetches the repository, and no token stays behind", async () => {
  const grant = await way.attach("o/n", TOKEN);
  const side = way.server.git("o/n", "commit-tree", "-p", "main", "-m", "side", "main^{tree}");
  way.server.git("o/n", "update-ref", "refs/heads/side", side);
  const resources = [
    resource(grant),
    resource(grant, { id: "branch", mount_path: "/workspace/branch", checkout: { type: "branch", name: "side" } }),
    resource(grant, { id: "commit", mount_path: "/workspace/commit", checkout: { type: "commit", sha: side } }),
  ];
  const { hand } = await provider.provision(request(...resources));
  expect(steps.flatMap(({ error }) => error ?? [])).toEqual([]);
  expect(steps.map(({ step }) => step)).toContainEqual(
    expect.stringMatching(/^clone http.*\/o\/n to \/workspace\/repo \(at \w{12}; its files, for there is no git/),
  );
  expect(await runTool(hand, "bash", { command: "cat repo/a.txt branch/a.txt commit/a.txt; ls -A repo" })).toBe(
    "one\none\none\na.txt",
  );
  await runTool(hand, "bash", { command: "echo two >> repo/a.txt; echo new > repo/b.txt" });
  const [changed] = await provider.changes(way.session, resources);
  expect([changed?.path, changed?.files.map(({ status, path }) => `${status} ${path}`)]).toEqual([
    grant.url,
    ["modified a.txt", "added b.txt"],
  ]);
  const files = Object.keys(fingerprint(dataDir, true)).join("\n");
  expect(files).not.toContain("-clone/clone");
  const { execFileSync } = await import("node:child_process");
  const found = execFileSync("sh", [
    "-c",
    `grep -rlaF -e "$1" -e "$2" "$3" || true`,
    "sh",
    TOKEN,
    way.rig.broker.token,
    dataDir,
  ]);
  expect(found.toString()).toBe("");
});

test("what cannot be had says why, by its kind, and comes in once it can", async () => {
  const wrong = await way.attach("o/n", "wrong-token");
  await provider.provision(request(resource(wrong)));
  expect(steps).toMatchObject([{ repository: { url: wrong.url, problem: "authentication" } }, {}]);
  expect(steps[0]?.error).toContain("does not take the token");
  way.grants.length = 0;
  const right = await way.attach("o/n", TOKEN);
  const nowhere = resource(right, {
    id: "nowhere",
    mount_path: "/workspace/x",
    checkout: { type: "branch", name: "no" },
  });
  steps.length = 0;
  const { hand } = await provider.provision(request(resource(wrong), nowhere));
  expect(steps.flatMap(({ repository }) => repository?.problem ?? [])).toEqual(["checkout"]);
  expect(await runTool(hand, "bash", { command: "cat repo/a.txt" })).toBe("one");
});
