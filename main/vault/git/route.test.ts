import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { repositoryRoute } from "../../contract/vaults/repositories.ts";
import { stopBrokers } from "../testing/broker_client.ts";
import type { GitServer } from "./testing/git_server.ts";
import { type GitRig, gitRig } from "./testing/rig.ts";
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
