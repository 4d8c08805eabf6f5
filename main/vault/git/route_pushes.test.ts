import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { PUSH_HEADERS, type Push } from "../../contract/vaults/pushes.ts";
import { repositoryRoute } from "../../contract/vaults/repositories.ts";
import { stopBrokers } from "../testing/broker_client.ts";
import type { GitServer } from "./testing/git_server.ts";
import type { GitRig } from "./testing/rig.ts";
import { eachWorld, type RouteWorld, TOKEN } from "./testing/route_world.ts";

let server: GitServer;
let rig: GitRig;
let name = "";
let url = "";
let world: RouteWorld;
eachWorld((made) => {
  world = made;
  ({ server, rig, name, url } = made);
});
const cloned = () => world.cloned();
const commit = (file: string, message: string) => world.commit(file, message);
const push = (...args: string[]) => world.push(...args);
const tip = (ref?: string) => world.tip(ref);

describe("pushes", () => {
  beforeEach(() => rig.grant(url, TOKEN).then(cloned));

  test("to another branch, a tag, several at once: refused in git's own words", async () => {
    const main = server.git(name, "rev-parse", "main");
    const other = await push("HEAD:main");
    expect(other.code).not.toBe(0);
    expect(other.text).toMatch(/remote: Longhaul: This session pushes to longhaul\/sesn_/);
    expect(other.text).toMatch(/\[remote rejected\] HEAD -> main \(only longhaul\//);
    await rig.git("w", ["tag", "v1"]);
    expect((await push("v1")).text).toContain("[remote rejected] v1 -> v1");
    expect((await push("HEAD", "HEAD:refs/heads/more")).text).toMatch(/remote rejected[\s\S]*remote rejected/);
    expect(server.git(name, "for-each-ref", "--format=%(refname) %(objectname)")).toBe(`refs/heads/main ${main}`);
    expect((await rig.audit()).filter((line) => line.startsWith("refused"))).toHaveLength(3);
  });

  test("deletes and forced pushes are refused, and the branch stays", async () => {
    expect((await push("HEAD")).code).toBe(0);
    const before = tip();
    expect((await push(`:${rig.ref}`)).code).not.toBe(0);
    await rig.git("w", ["commit", "-q", "--amend", "-m", "rewritten"]);
    const forced = await push("--force", "HEAD");
    expect(forced.text).toContain("[remote rejected]");
    expect(forced.text).toContain("Forced pushes are refused");
    expect((await push("--force-with-lease", "HEAD")).code).not.toBe(0);
    await rig.git("w", ["checkout", "-q", "--detach", "HEAD~1"]);
    expect((await push("--force", `HEAD:${rig.ref}`)).code).not.toBe(0);
    expect(tip()).toBe(before);
  });

  test("push options, atomic and signed pushes are not offered", async () => {
    expect((await push("-o", "ci.skip", "HEAD")).text).toContain("does not support push options");
    expect((await push("--atomic", "HEAD")).text).toContain("does not support --atomic");
    expect((await push("--signed", "HEAD")).text).toContain("does not support --signed");
    expect(tip()).toBe("");
  });

  test("a merge of what is new on the server passes, and one made on the server is followed there", async () => {
    expect((await push("HEAD")).code).toBe(0);
    // Somebody merges the session's branch on the server; its work goes on from there.
    const merged = server.git(name, "commit-tree", "-p", "main", "-p", rig.ref, "-m", "merge", `${rig.ref}^{tree}`);
    server.git(name, "update-ref", "refs/heads/main", merged);
    await rig.git("w", ["fetch", "-q", "origin"]);
    await rig.git("w", ["reset", "-q", "--hard", "origin/main"]);
    await commit("d.txt", "after the merge");
    expect(await push(`HEAD:${rig.ref}`)).toMatchObject({ code: 0 });
    expect(server.git(name, "merge-base", "--is-ancestor", merged, rig.ref)).toBe("");
    // Nothing new at all: the branch is only moved to what the server has.
    const next = server.git(name, "commit-tree", "-p", rig.ref, "-m", "on top", `${rig.ref}^{tree}`);
    server.git(name, "update-ref", "refs/heads/main", next);
    await rig.git("w", ["fetch", "-q", "origin"]);
    expect(await push(`origin/main:${rig.ref}`)).toMatchObject({ code: 0 });
    expect(tip()).toBe(next);
    // And back again, which the server alone can tell.
    expect((await push("--force", `${merged}:${rig.ref}`)).text).toContain("Forced pushes are refused");
    expect(tip()).toBe(next);
  });

  test("many commits with deltas among them, and a shallow clone", async () => {
    for (let count = 0; count < 40; count += 1) {
      await rig.git("w", ["commit", "-q", "--allow-empty", "-m", `${count} ${"the same words again ".repeat(40)}`]);
    }
    expect((await push("HEAD")).code).toBe(0);
    for (let count = 0; count < 40; count += 1) {
      await rig.git("w", ["commit", "-q", "--allow-empty", "-m", `${count} ${"the same words again ".repeat(40)}`]);
    }
    expect((await push("HEAD")).code).toBe(0);
    await rig.git("", ["clone", "-q", "--depth=1", "-b", rig.branch, rig.route(url), "s"]);
    expect((await rig.git("s", ["commit", "-q", "--allow-empty", "-m", "from shallow"])).code).toBe(0);
    expect(await rig.git("s", ["push", "-q", "origin", "HEAD"])).toEqual({ code: 0, text: "" });
  });

  test("a policy of deny says so before anything is packed", async () => {
    await rig.grant(url, TOKEN, { push: "deny" });
    server.requests = [];
    expect((await push("HEAD")).code).not.toBe(0);
    const said = await rig.call(`${repositoryRoute(url)}/info/refs?service=git-receive-pack`);
    expect(await said.text()).toMatch(/This session may not push.*push_refused/);
    expect(server.requests).toEqual([]);
  });

  test("a policy of ask waits, and passes once it is allowed with the same ids", async () => {
    await rig.grant(url, TOKEN, { push: "ask" });
    const asked = await push("HEAD");
    expect(asked.text).toMatch(/remote: Longhaul: This push waits for a person's approval/);
    expect(asked.text).toContain("(waits for approval)");
    expect(tip()).toBe("");
    const head = (await rig.git("w", ["rev-parse", "HEAD"])).text.trim();
    const allowed = (ids: string) =>
      rig.git("w", ["-c", `http.extraHeader=${PUSH_HEADERS.approved}: ${ids}`, "push", "origin", "HEAD"]);
    expect((await allowed(`${"1".repeat(40)}:${head}`)).code).not.toBe(0);
    expect((await allowed(`${"0".repeat(40)}:${"2".repeat(40)}`)).code).not.toBe(0);
    expect((await allowed(`${"0".repeat(40)}:${head}`)).code).toBe(0);
    expect(tip()).toBe(head);
  });

  test("what waits is told to the engine with its commits", async () => {
    await rig.grant(url, TOKEN, { push: "ask" });
    const { proxyServer } = await import("./testing/proxy_server.ts");
    const proxy = await proxyServer(rig.broker.url);
    await rig.git("w", ["push", `${proxy.url}/git/${repositoryRoute(url)}`, "HEAD"]);
    const header = proxy.headers.map((seen) => seen[PUSH_HEADERS.waits]).find((value) => value !== undefined);
    const told = JSON.parse(Buffer.from(String(header), "base64url").toString()) as Push;
    expect(told).toMatchObject({ repository_url: url, branch: rig.ref, old: "0".repeat(40) });
    expect(told.commits.map(({ subject }) => subject)).toEqual(["second", "first"].slice(0, told.commits.length));
    await proxy.close();
  });

  test("a hook of the server refuses in its own words, without the token", async () => {
    const hook = join(server.git(name, "rev-parse", "--absolute-git-dir"), "hooks", "pre-receive");
    mkdirSync(join(hook, ".."), { recursive: true });
    writeFileSync(hook, `#!/bin/sh\necho "not today ${TOKEN}" >&2\nexit 1\n`, { mode: 0o755 });
    const pushed = await push("HEAD");
    expect(pushed.text).toContain("remote: not today ********************");
    expect(pushed.text).toContain("pre-receive hook declined");
  });

  test("a broker that is killed in the middle of a push leaves the branch as it was", async () => {
    writeFileSync(join(rig.folder, "w", "big"), randomBytes(8_000_000));
    await commit("more.txt", "big");
    let killed = false;
    server.intercept = (request) => {
      if (!killed && request.method === "POST" && request.url?.includes("receive-pack")) {
        killed = true;
        request.once("data", () => void stopBrokers());
      }
      return false;
    };
    expect((await push("HEAD")).code).not.toBe(0);
    expect(killed).toBe(true);
    expect(tip()).toBe("");
    expect(server.git(name, "fsck")).toBe("");
  });
});
