import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { PUSH_HEADERS, type Push } from "../../contract/vaults/pushes.ts";
import { repositoryRoute } from "../../contract/vaults/repositories.ts";
import { stopBrokers } from "../testing/broker_client.ts";
import { type GitServer, gitServer } from "./testing/git_server.ts";
import { type GitRig, gitRig } from "./testing/rig.ts";

const TOKEN = "tok_5f2c9e81d04b7a63";
// Dozens of programs are run one after the other.
vi.setConfig({ testTimeout: 60_000 });
let server: GitServer;
let rig: GitRig;
let turn = 0;
let name = "";
let url = "";

beforeAll(async () => {
  server = await gitServer();
});
afterAll(() => server.close());

beforeEach(async () => {
  rig = await gitRig();
  name = `owner/repo${turn++}`;
  server.make(name);
  server.accounts = [`*:${TOKEN}`];
  server.intercept = () => false;
  server.requests = [];
  url = `${server.url}/${name}`;
});
afterEach(async () => {
  await stopBrokers();
  rig.remove();
});

/** A clone in `w` with one commit more, on the session's branch. */
async function cloned(): Promise<void> {
  expect(await rig.git("", ["clone", "-q", rig.route(url), "w"])).toEqual({ code: 0, text: "" });
  await rig.git("w", ["checkout", "-q", "-b", rig.branch]);
  await commit("b.txt", "second");
}

async function commit(file: string, message: string): Promise<void> {
  writeFileSync(join(rig.folder, "w", file), `${message}\n`);
  await rig.git("w", ["add", "."]);
  expect((await rig.git("w", ["commit", "-q", "-m", message])).code).toBe(0);
}

const push = (...args: string[]) => rig.git("w", ["push", "origin", ...args]);
const tip = (ref = rig.ref) => server.git(name, "for-each-ref", "--format=%(objectname)", ref);

describe.each([
  ["GitHub-like", "x-access-token"],
  ["GitLab-like", "oauth2"],
])("a %s server", (_what, user) => {
  test("clone, fetch and push with the token and no trace of it", async () => {
    server.accounts = [`${user}:${TOKEN}`];
    await rig.grant(url, TOKEN);
    await cloned();
    expect((await push("HEAD")).code).toBe(0);
    expect(tip()).toBe((await rig.git("w", ["rev-parse", "HEAD"])).text.trim());
    await commit("c.txt", "third");
    expect((await push("HEAD")).code).toBe(0);
    expect((await rig.git("w", ["fetch", "-q", "origin"])).code).toBe(0);
    expect(server.requests.filter((seen) => seen.user === `${user}:${TOKEN}`).length).toBeGreaterThan(4);
    expect((await rig.audit()).join("\n")).toMatch(
      /allowed git-upload-pack[\s\S]*allowed git-receive-pack refs\/heads\/longhaul/,
    );
    expect(rig.broker.logs.join("")).not.toContain(TOKEN);
    expect((await rig.git("w", ["config", "--list"])).text).not.toContain(TOKEN);
  });
});

describe("a plain server", () => {
  test("takes a name and password of its own", async () => {
    server.accounts = ["deploy:pass word"];
    await rig.grant(url, "deploy:pass word");
    await cloned();
    expect((await push("HEAD")).code).toBe(0);
  });

  test("without a sign-in is read, and not pushed to", async () => {
    server.accounts = [];
    await rig.grant(url, null);
    await cloned();
    expect((await push("HEAD")).code).not.toBe(0);
    const said = await rig.call(`${repositoryRoute(url)}/info/refs?service=git-receive-pack`);
    expect(await said.text()).toMatch(/attached without a token.*push_refused/);
    expect(tip()).toBe("");
    expect(await rig.audit()).toEqual([]);
  });

  test.each(["0", "1", "2"])("speaks protocol version %s", async (version) => {
    await rig.grant(url, TOKEN);
    const got = await rig.git("", ["-c", `protocol.version=${version}`, "clone", "-q", rig.route(url), "w"]);
    expect(got).toEqual({ code: 0, text: "" });
    const sent = version === "0" ? null : `version=${version}`;
    expect(server.requests.at(-1)?.protocol).toBe(sent);
  });

  test("large fetches and pushes pass, compressed requests too", async () => {
    await rig.grant(url, TOKEN);
    await cloned();
    // More than git's own buffer, so that it asks first and then sends in chunks.
    writeFileSync(join(rig.folder, "w", "big"), randomBytes(3_000_000));
    await commit("big.txt", "big");
    expect((await push("HEAD")).code).toBe(0);
    for (let count = 0; count < 60; count += 1) await rig.git("w", ["commit", "-q", "--allow-empty", "-m", `${count}`]);
    server.git(name, "update-ref", "refs/heads/other", server.git(name, "rev-parse", "main"));
    expect((await rig.git("w", ["fetch", "-q", "origin"])).code).toBe(0);
    expect((await rig.git("", ["clone", "-q", rig.route(url), "again"])).code).toBe(0);
  });
});

describe("addresses", () => {
  test("with and without .git and in another case of the host are the same repository", async () => {
    await rig.grant(`${server.url}/${name}.git`, TOKEN);
    expect((await rig.git("", ["ls-remote", rig.route(url)])).code).toBe(0);
    expect((await rig.git("", ["ls-remote", `${rig.route(url)}.git`])).code).toBe(0);
    expect((await rig.git("", ["ls-remote", `${rig.route(url)}/`])).code).toBe(0);
  });

  test("a rename on the same server is followed, also for the requests after it", async () => {
    const old = `${server.url}/owner/before`;
    server.intercept = (request, response) => {
      if (!(request.url ?? "").startsWith("/owner/before")) return false;
      response.writeHead(301, { location: (request.url ?? "").replace("owner/before", name) }).end();
      return true;
    };
    await rig.grant(old, TOKEN);
    expect((await rig.git("", ["clone", "-q", rig.route(old), "w"])).code).toBe(0);
    await rig.git("w", ["checkout", "-q", "-b", rig.branch]);
    await commit("b.txt", "second");
    expect((await push("HEAD")).code).toBe(0);
    expect(tip()).not.toBe("");
  });

  test.each([
    ["another host", () => `http://localhost:${new URL(server.url).port}/x/info/refs?service=git-upload-pack`],
    ["something else on the same host", () => `${server.url}/login?next=info/refs`],
    ["another service", () => `${server.url}/${name}/info/refs?service=git-receive-pack`],
  ])("a redirect to %s is not followed", async (_what, location) => {
    await rig.grant(url, TOKEN);
    server.intercept = (request, response) => {
      if (!request.url?.includes(`${name}/info`)) return false;
      response.writeHead(302, { location: location() }).end();
      return true;
    };
    const got = await rig.git("", ["ls-remote", rig.route(url)]);
    expect(got.code).not.toBe(0);
    expect(server.requests).toHaveLength(1);
  });

  test("a name that leads to a private address gets no token", async () => {
    const inside = await gitRig({ git: { resolve: () => Promise.resolve(["127.0.0.1"]) } });
    await inside.grant("https://git.example.com/a/b", TOKEN);
    const answer = await inside.call("git.example.com/a/b/info/refs?service=git-upload-pack");
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("private network");
    inside.remove();
  });

  test.each([
    ["another repository", () => `${rig.route(`${url}x`)}/info/refs?service=git-upload-pack`, 403],
    ["a path out of it", () => `${rig.route(url)}/../other/info/refs?service=git-upload-pack`, 403],
    ["an encoded path", () => `${rig.route(url)}%2f..%2fother/info/refs?service=git-upload-pack`, 403],
    ["the dumb protocol", () => `${rig.route(url)}/info/refs`, 404],
    ["a file of it", () => `${rig.route(url)}/HEAD`, 404],
    ["another service", () => `${rig.route(url)}/info/refs?service=git-upload-archive`, 404],
    ["more in the query", () => `${rig.route(url)}/info/refs?service=git-upload-pack&x=1`, 404],
    [
      "the host at its https port",
      () => `${rig.route(`https://127.0.0.1/${name}`)}/info/refs?service=git-upload-pack`,
      403,
    ],
    ["LFS", () => `${rig.route(url)}/info/lfs/objects/batch`, 404],
  ])("%s is refused before anything is sent", async (_what, address, status) => {
    await rig.grant(url, TOKEN);
    const target = address().replace(`${rig.broker.url}/git/`, "");
    // Not fetch, which tidies up paths.
    const { request } = await import("node:http");
    const got = await new Promise<number>((resolve) => {
      const headers = { authorization: `Bearer ${rig.broker.token}` };
      const { hostname, port } = new URL(rig.broker.url);
      request({ hostname, port, path: `/git/${target}`, headers }, (answer) => resolve(answer.statusCode ?? 0)).end();
    });
    expect(got).toBe(status);
    expect(server.requests).toEqual([]);
  });

  test("another session's repository, a foreign capability and unknown grants are refused", async () => {
    const path = repositoryRoute(url);
    const unknown = await rig.call(`${path}/info/refs?service=git-upload-pack`);
    expect(await unknown.text()).toContain("grants_unknown");
    await rig.register([]);
    const other = await rig.call(`${path}/info/refs?service=git-upload-pack`);
    expect(await other.text()).toContain("not_granted");
    const foreign = await rig.call(`${path}/info/refs?service=git-upload-pack`, {
      headers: { authorization: "Bearer x" },
    });
    expect(foreign.status).toBe(401);
    expect(server.requests).toEqual([]);
  });
});

describe("what a server refuses", () => {
  test("a wrong token, in words and with every sign-in tried once", async () => {
    await rig.grant(url, "wrong-token");
    const got = await rig.call(`${repositoryRoute(url)}/info/refs?service=git-upload-pack`);
    expect(got.status).toBe(403);
    expect(await got.text()).toMatch(/does not take the token.*sign_in_needed/);
    expect(server.requests).toHaveLength(2);
    expect(await rig.audit()).toEqual(["refused git-upload-pack: sign_in_needed"]);
  });

  test.each([
    [403, "repository_forbidden"],
    [404, "repository_not_found"],
    [500, "endpoint_failed"],
    [200, "endpoint_failed"],
  ])("status %s is told as %s", async (status, code) => {
    await rig.grant(url, TOKEN);
    server.intercept = (_request, response) => {
      response.writeHead(status, { "content-type": "text/html", "set-cookie": TOKEN }).end(TOKEN);
      return true;
    };
    const got = await rig.call(`${repositoryRoute(url)}/info/refs?service=git-upload-pack`);
    const text = await got.text();
    expect(text).toContain(code);
    expect(text + JSON.stringify([...got.headers])).not.toContain(TOKEN);
  });

  test("a locked keychain sends nothing, and unlocking it is enough", async () => {
    const grant = await rig.grant(url, TOKEN);
    rig.keychain.mode = "locked";
    await stopBrokers();
    const restarted = await gitRig({}, rig);
    await restarted.register([grant]);
    const got = await restarted.git("", ["ls-remote", restarted.route(url)]);
    expect(got.code).not.toBe(0);
    expect(server.requests).toEqual([]);
    rig.keychain.unlock();
    expect((await restarted.git("", ["ls-remote", restarted.route(url)])).code).toBe(0);
  });

  test("an echo of the token is masked in what git is told", async () => {
    await rig.grant(url, TOKEN);
    server.intercept = (request, response) => {
      if (request.method !== "GET") return false;
      const line = `${"a".repeat(40)} refs/heads/${TOKEN}\0agent=${Buffer.from(`x-access-token:${TOKEN}`).toString("base64")}\n`;
      const lines = ["# service=git-upload-pack\n", null, line, null];
      const body = lines.map((text) =>
        text === null ? "0000" : (text.length + 4).toString(16).padStart(4, "0") + text,
      );
      response.writeHead(200, { "content-type": "application/x-git-upload-pack-advertisement" });
      // In two pieces, with the token across their border.
      const whole = body.join("");
      const cut = whole.indexOf(TOKEN) + 5;
      response.write(whole.slice(0, cut));
      setTimeout(() => response.end(whole.slice(cut)), 20);
      return true;
    };
    const got = await rig.call(`${repositoryRoute(url)}/info/refs?service=git-upload-pack`);
    const text = await got.text();
    expect(text).toContain("refs/heads/********************");
    expect(text).not.toContain(Buffer.from(TOKEN).toString("base64").slice(4, 20));
  });
});

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
