import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SessionResource } from "../../contract/events.ts";
import type { RepositoryGrant } from "../../contract/vaults/grants.ts";
import { type Install, limitedRequest, newInstall } from "../../sandbox/docker/testing/install.ts";
import type { Hand, ProvisionRequest, ProvisionStep } from "../../sandbox/port.ts";
import { provisionRequest, runTool } from "../../sandbox/testing/bench.ts";
import { stopBrokers } from "../../vault/testing/broker_client.ts";
import { type GitWay, gitWay } from "./testing/way.ts";

const TOKEN = "ghp_canary5f2c9e81d04b7a63";
let install: Install;
beforeAll(async () => {
  install = await newInstall();
});
afterAll(() => install.remove());

type Remote = Extract<SessionResource, { type: "github_repository" }>;
const resource = ({ resource_id, url }: RepositoryGrant, more: Partial<Remote> = {}): Remote => ({
  id: resource_id,
  type: "github_repository",
  url,
  mount_path: "/workspace/repo",
  created_at: "",
  updated_at: "",
  ...more,
});

describe.each([["limited"], ["unrestricted"]])("in a %s sandbox", (network) => {
  let way: GitWay;
  let hand: Hand;
  let grant: RepositoryGrant;
  const steps: ProvisionStep[] = [];
  const bash = (command: string) => runTool(hand, "bash", { command });
  /** Output of a command that may fail. */
  const tried = (command: string) => bash(`{ ${command}; } 2>&1 || true`);
  const now = (ref: string) => way.server.git("owner/name", "for-each-ref", "--format=%(objectname)", ref);

  beforeAll(async () => {
    way = await gitWay();
    way.server.accounts = [`x-access-token:${TOKEN}`];
    way.server.make("owner/name");
    way.server.make("owner/name-other");
    grant = await way.attach("owner/name", TOKEN, { push: "allow" });
    const provider = install.open({ git: way.git });
    const more: Partial<ProvisionRequest> = { resources: [resource(grant)], onStep: (step) => steps.push(step) };
    const request = network === "limited" ? limitedRequest(way.session, more) : provisionRequest(way.session, more);
    hand = (await provider.provision(request)).hand;
  });
  afterAll(() => way[Symbol.asyncDispose]());

  test("the repository is there, on the session's branch", async () => {
    expect(steps.filter(({ error }) => error !== null)).toEqual([]);
    expect(steps.map(({ step }) => step).join("\n")).toMatch(
      /clone http:.*\/owner\/name to \/workspace\/repo \(on branch longhaul\/sesn_\w+, at \w{12}\)/,
    );
    expect(
      await bash(
        "cd /workspace/repo && git branch --show-current && cat a.txt && git remote get-url --all origin | head -1",
      ),
    ).toContain(`longhaul/${way.session}\none\n`);
    expect(await bash("cd /workspace/repo && git config remote.origin.url")).toBe(grant.url);
  });

  test("clone, fetch and push work with the attached address", async () => {
    expect(await tried(`git clone -q ${grant.url}.git /tmp/again && ls /tmp/again`)).toBe("a.txt");
    const pushed = await tried(
      "cd /workspace/repo && echo b > b.txt && git add . && git commit -q -m second && git push",
    );
    expect(pushed).toContain(`-> longhaul/${way.session}`);
    expect(now(grant.branch)).toBe(await bash("git -C /workspace/repo rev-parse HEAD"));
    expect(await tried("git -C /tmp/again fetch -q && git -C /tmp/again branch -r")).toContain(
      `origin/longhaul/${way.session}`,
    );
    expect(await way.told()).toContain("longhaul.pushed");
  });

  test("main, deletes and forced pushes are refused in words", async () => {
    const [main, branch] = [now("refs/heads/main"), now(grant.branch)];
    expect(await tried("cd /workspace/repo && git push origin HEAD:main")).toMatch(
      /remote: Longhaul: This session pushes to longhaul\/[\s\S]*\[remote rejected\]/,
    );
    expect(await tried(`cd /workspace/repo && git push origin :${grant.branch}`)).toContain("[remote rejected]");
    const forced = await tried("cd /workspace/repo && git commit -q --amend -m other && git push --force origin HEAD");
    expect(forced).toContain("Forced pushes are refused");
    expect([now("refs/heads/main"), now(grant.branch)]).toEqual([main, branch]);
    await bash(
      "cd /workspace/repo && git reset -q --hard origin/HEAD 2>/dev/null || git reset -q --hard ORIG_HEAD; true",
    );
  });

  test("another repository is not reached with the token", async () => {
    const seen = way.server.requests.length;
    const got = await tried(`timeout 60 git clone -q ${grant.url}-other /tmp/other`);
    expect(got).not.toBe("");
    expect(way.server.requests.slice(seen).filter(({ user }) => user !== null)).toEqual([]);
    const direct = await tried(
      "curl -sS -m 10 http://127.0.0.1:3128/git/example.com/a/b/info/refs?service=git-upload-pack",
    );
    expect(direct).toContain("not attached");
    expect(await tried("curl -sS -m 10 http://127.0.0.1:3128/control/status")).toContain("Longhaul");
  });

  test("the token is nowhere in the container", async () => {
    const reversed = (text: string) => [...text].reverse().join("");
    // What is searched for stands in a file of its own, so that the search does not find itself.
    const search = async (text: string, more = "") =>
      (
        await tried(`echo ${reversed(text)} | rev > /tmp/pattern; ${more}
grep -rslaF -f /tmp/pattern / --exclude=pattern --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev 2>/dev/null
cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -aF -f /tmp/pattern
git config --list --show-origin | grep -aF -f /tmp/pattern; rm -f /tmp/pattern /tmp/planted`)
      ).split("\n");
    expect(await search(TOKEN, "cp /tmp/pattern /tmp/planted")).toEqual(["/tmp/planted"]);
    const signIn = Buffer.from(`x-access-token:${TOKEN}`).toString("base64");
    for (const text of [TOKEN, signIn]) expect(await search(text)).toEqual(["(no output)"]);
  });

  test("a push that must be approved waits, and the same push then passes once", async () => {
    grant.push = "ask";
    await way.attach("owner/unused", null);
    const command =
      "cd /workspace/repo && git fetch -q && git reset -q --hard origin/$(git branch --show-current) && echo c > c.txt && git add . && git commit -q -m third && git push";
    expect(await tried(command)).toMatch(/remote: Longhaul: This push waits[\s\S]*waits for approval/);
    expect(await tried("cd /workspace/repo && git push")).toContain("waits for approval");
    const [asked] = (await way.ledger.getSession(way.session))?.fold.pushes ?? [];
    expect(asked).toMatchObject({ state: "waiting", repository_url: grant.url, commits: [{ subject: "third" }] });
    expect(asked?.commits).toHaveLength(1);
    const decided = { request_id: asked?.request_id ?? "", result: "allow", deny_message: null } as const;
    await way.ledger.emitEvent(way.session, { type: "longhaul.push_decided", ...decided });
    expect(await tried("cd /workspace/repo && git push")).toContain(`-> longhaul/${way.session}`);
    expect((await way.ledger.getSession(way.session))?.fold.pushes).toEqual([]);
    expect((await way.told()).slice(-3)).toEqual([
      "longhaul.push_requested",
      "longhaul.push_decided",
      "longhaul.pushed",
    ]);
    const denied = await tried("cd /workspace/repo && git commit -q --allow-empty -m fourth && git push");
    expect(denied).toContain("waits for approval");
    const [second] = (await way.ledger.getSession(way.session))?.fold.pushes ?? [];
    const no = { request_id: second?.request_id ?? "", result: "deny", deny_message: "no" } as const;
    await way.ledger.emitEvent(way.session, { type: "longhaul.push_decided", ...no });
    expect(await tried("cd /workspace/repo && git push")).toContain("A person denied this push");
  });

  test("a broker that comes back is told again what the session may use", async () => {
    await way.restartBroker();
    expect(await tried("git -C /workspace/repo fetch && echo fetched")).toContain("fetched");
    await stopBrokers();
    expect(await tried("git -C /workspace/repo fetch")).toMatch(/remote: Longhaul: The credential broker/);
  });
});

test("what cannot be cloned is told by its kind, and comes in once it can be", async () => {
  await using way = await gitWay();
  way.server.accounts = [`*:${TOKEN}`];
  way.server.make("a/b");
  const [wrong, missing, branch] = [
    await way.attach("a/b", "wrong-token"),
    await way.attach("a/none", TOKEN),
    await way.attach("a/b", TOKEN),
  ];
  const steps: ProvisionStep[] = [];
  const provider = install.open({ git: way.git });
  const resources = [
    resource(wrong, { mount_path: "/workspace/wrong" }),
    resource(missing, { mount_path: "/workspace/missing" }),
  ];
  const request = limitedRequest(way.session, { resources, onStep: (step) => steps.push(step) });
  // The same URL twice: only the first grant counts in this session.
  way.grants.splice(2, 1);
  await provider.provision(request);
  expect(steps.flatMap(({ repository }) => (repository === undefined ? [] : [repository.problem]))).toEqual([
    "authentication",
    "not_found",
  ]);
  expect(steps.map(({ error }) => error).join("\n")).toMatch(/does not take the token[\s\S]*has no repository at/);
  expect(JSON.stringify(steps)).not.toContain("wrong-token");

  way.grants.splice(0, 1, { ...branch, resource_id: wrong.resource_id });
  await way.git.repositories(way.session);
  await way.rig.register(way.grants);
  steps.length = 0;
  const { hand } = await provider.provision({ ...request, had_sandbox: true });
  expect(steps.flatMap(({ repository }) => (repository === undefined ? [] : [repository.problem]))).toEqual([
    "not_found",
  ]);
  expect(await runTool(hand, "bash", { command: "cat /workspace/wrong/a.txt" })).toBe("one");
  const [checkout] = [resource(branch, { id: "other", checkout: { type: "branch", name: "nowhere" } })];
  steps.length = 0;
  way.grants.push({ ...branch, resource_id: "other" });
  await provider.provision({ ...request, resources: [checkout ?? resource(branch)], had_sandbox: true });
  expect(steps.map(({ repository }) => repository?.problem)).toContain("checkout");
});
