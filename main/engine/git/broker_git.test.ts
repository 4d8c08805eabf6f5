import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { PUSH_HEADERS } from "../../contract/vaults/pushes.ts";
import { repositoryRoute } from "../../contract/vaults/repositories.ts";
import { gitConfig } from "../../sandbox/docker/resources/git_config.ts";
import { cloneProblem } from "../../sandbox/resources/clone_problem.ts";
import { CLEAN_ENV } from "../../vault/git/testing/git_server.ts";
import { stopBrokers } from "../../vault/testing/broker_client.ts";
import { type GitWay, gitWay } from "./testing/way.ts";

vi.setConfig({ testTimeout: 60_000 });
const TOKEN = "tok_5f2c9e81d04b7a63";
let way: GitWay;
let relay: Server;
let relayUrl = "";

beforeEach(async () => {
  way = await gitWay();
  way.server.make("o/n");
  way.server.accounts = [`*:${TOKEN}`];
  relay = createServer((incoming, response) => void way.git.forward(way.session, incoming, response));
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  relayUrl = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`;
});
afterEach(async () => {
  relay.closeAllConnections();
  relay.close();
  await way[Symbol.asyncDispose]();
});

/** Git of a sandbox: its own settings, and those that are put there. */
function git(cwd: string, args: string[]): Promise<{ code: number; text: string }> {
  const settings = gitConfig(way.grants)
    .replaceAll("http://127.0.0.1:3128", relayUrl)
    .matchAll(/\[url "(.*?)"\]((?:\n\tinsteadOf = ".*?")+)/g);
  const rewrites = [...settings].flatMap(([, base = "", lines = ""]) =>
    [...lines.matchAll(/"(.*?)"/g)].flatMap(([, spelling = ""]) => ["-c", `url.${base}.insteadOf=${spelling}`]),
  );
  return new Promise((resolve) => {
    execFile("git", [...rewrites, ...args], { cwd: join(way.rig.folder, cwd), env: CLEAN_ENV }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), text: `${out}${err}` }),
    );
  });
}

async function cloned(url: string): Promise<void> {
  expect(await git("", ["clone", "-q", url, "w"])).toEqual({ code: 0, text: "" });
  await git("w", ["checkout", "-q", "-b", way.rig.branch]);
  await git("w", ["commit", "-q", "--allow-empty", "-m", "second"]);
}
const waiting = async () => (await way.ledger.getSession(way.session))?.fold.pushes ?? [];

test("every spelling of an attached address leads to the relay, and others do not", async () => {
  way.grants.push({
    resource_id: "r",
    url: "https://github.com/o/n",
    token: null,
    branch: "refs/heads/x",
    push: "ask",
  });
  const at = (url: string) => git("", ["ls-remote", "--get-url", url]).then(({ text }) => text.trim());
  const base = `${relayUrl}/git/github.com/o/n`;
  expect(await at("https://github.com/o/n")).toBe(base);
  expect(await at("https://github.com/o/n.git")).toBe(`${base}.git`);
  expect(await at("git@github.com:o/n.git")).toBe(`${base}.git`);
  expect(await at("ssh://git@github.com/o/n.git")).toBe(`${base}.git`);
  expect(await at("git://github.com/o/n")).toBe(base);
  expect(await at("https://gitlab.com/o/n")).toBe("https://gitlab.com/o/n");
});

test("a repository whose address begins like an attached one is asked for by the sandbox itself", async () => {
  const { url } = await way.attach("o/n", TOKEN);
  way.server.make("o/n-more");
  way.server.accounts = [];
  expect(await git("", ["clone", "-q", `${url}-more`, "more"])).toMatchObject({ code: 0 });
  expect(way.server.requests.every(({ user }) => user === null)).toBe(true);
  const posted = await fetch(`${relayUrl}/git/${repositoryRoute(`${url}-more`)}/git-upload-pack`, { method: "POST" });
  expect([posted.status, await posted.text()]).toEqual([403, expect.stringContaining("not attached")]);
});

test("a push is asked about once however often it is tried, and an amended one takes its place", async () => {
  const { url } = await way.attach("o/n", TOKEN);
  await cloned(url);
  const all = await Promise.all([1, 2, 3].map(() => git("w", ["push", "origin", "HEAD"])));
  for (const { text } of all) expect(text).toContain("waits for approval");
  expect(await way.told()).toEqual(["longhaul.push_requested"]);
  const [first] = await waiting();
  await git("w", ["commit", "-q", "--amend", "--allow-empty", "-m", "amended"]);
  await git("w", ["push", "origin", "HEAD"]);
  expect((await waiting()).map(({ commits }) => commits.map(({ subject }) => subject))).toEqual([["amended"]]);
  // A yes to what was replaced is a yes to nothing.
  const yes = { request_id: first?.request_id ?? "", result: "allow", deny_message: null } as const;
  await way.ledger.emitEvent(way.session, { type: "longhaul.push_decided", ...yes });
  expect((await git("w", ["push", "origin", "HEAD"])).text).toContain("waits for approval");
});

test("a sandbox cannot approve its own push", async () => {
  const { url, branch } = await way.attach("o/n", TOKEN);
  await cloned(url);
  const head = (await git("w", ["rev-parse", "HEAD"])).text.trim();
  const header = `${PUSH_HEADERS.approved}: ${"0".repeat(40)}:${head}`;
  expect((await git("w", ["-c", `http.extraHeader=${header}`, "push", "origin", "HEAD"])).text).toContain("waits for");
  const own = await git("w", ["-c", "http.extraHeader=Authorization: Bearer x", "ls-remote", "origin"]);
  expect(own.code).toBe(0);
  expect(way.server.git("o/n", "for-each-ref", branch)).toBe("");
});

test("a push that a hook of the server declines is not told as made, and stays allowed", async () => {
  const { url } = await way.attach("o/n", TOKEN);
  await cloned(url);
  await git("w", ["push", "origin", "HEAD"]);
  const [asked] = await waiting();
  const yes = { request_id: asked?.request_id ?? "", result: "allow", deny_message: null } as const;
  await way.ledger.emitEvent(way.session, { type: "longhaul.push_decided", ...yes });
  way.server.git("o/n", "config", "receive.denyCurrentBranch", "refuse");
  way.server.git("o/n", "config", "transfer.hideRefs", "refs/heads/longhaul");
  expect((await git("w", ["push", "origin", "HEAD"])).code).not.toBe(0);
  expect(await way.told()).not.toContain("longhaul.pushed");
  way.server.git("o/n", "config", "--unset", "transfer.hideRefs");
  expect((await git("w", ["push", "origin", "HEAD"])).code).toBe(0);
  expect(await waiting()).toEqual([]);
  expect(await way.told()).toContain("longhaul.pushed");
});

test("failures are words that git shows, with the contract's kind behind them", async () => {
  const said = async (url: string) => (await git("", ["ls-remote", url])).text;
  const wrong = await said((await way.attach("o/n", "wrong-token")).url);
  expect(wrong).toMatch(/^remote: Longhaul: .* does not take the token.* \[repository_authentication\]$/m);
  expect(cloneProblem(wrong)).toBe("authentication");
  way.grants.length = 0;
  const none = await said((await way.attach("o/none", TOKEN)).url);
  expect(cloneProblem(none)).toBe("not_found");
  way.server.intercept = (_request, response) => {
    response.writeHead(403).end();
    return true;
  };
  expect(cloneProblem(await said(way.grants[0]?.url ?? ""))).toBe("forbidden");
  await stopBrokers();
  expect(await said(way.grants[0]?.url ?? "")).toMatch(/remote: Longhaul: The credential broker.* failed/);
});

test("a restarted broker is told of the session again", async () => {
  const { url } = await way.attach("o/n", TOKEN);
  expect((await git("", ["ls-remote", url])).code).toBe(0);
  await way.restartBroker();
  expect((await git("", ["ls-remote", url])).code).toBe(0);
});

test("nothing but git's requests passes", async () => {
  const { url } = await way.attach("o/n", TOKEN);
  const route = `/git/${repositoryRoute(url)}`;
  for (const path of [
    "/git/",
    `${route}/info/refs`,
    `${route}/HEAD`,
    `${route}/../../control/status`,
    "/control/status",
  ]) {
    expect((await fetch(`${relayUrl}${path}`)).status, path).toBe(404);
  }
  expect((await fetch(`${relayUrl}${route}/git-upload-pack`)).status).toBe(404);
  expect((await fetch(`${relayUrl}${route}/git-upload-pack`, { method: "PUT" })).status).toBe(404);
  expect(way.server.requests).toEqual([]);
});
