import { execFileSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { PUSH_HEADERS } from "../../../contract/vaults/pushes.ts";
import { repositoryRoute } from "../../../contract/vaults/repositories.ts";
import { stopBrokers } from "../../testing/broker_client.ts";
import { pktLine } from "../pkt_line.ts";
import { CLEAN_ENV, type GitServer, gitServer } from "../testing/git_server.ts";
import { type GitRig, gitRig } from "../testing/rig.ts";

const ZERO = "0".repeat(40);
const CAPS = "report-status side-band-64k";
let server: GitServer;
let rig: GitRig;
let url = "";
/** On the session's branch; `next` is on top of it, `rival` beside it, `far` three commits on top. */
let [base, tip, next, rival, far] = ["", "", "", "", ""];

beforeAll(async () => {
  server = await gitServer();
  rig = await gitRig();
  server.make("a/b");
  url = `${server.url}/a/b`;
  server.accounts = ["*:token-of-tests"];
  await rig.grant(url, "token-of-tests");
  const made = (parent: string, message: string) => git("commit-tree", "-p", parent, "-m", message, "main^{tree}");
  base = git("rev-parse", "main");
  tip = made(base, "tip");
  next = made(tip, "next");
  rival = made(base, `rival\n\nparent ${tip}`);
  far = made(made(next, "between"), "far");
});
afterAll(async () => {
  await stopBrokers();
  await server.close();
  rig.remove();
});
beforeEach(() => {
  git("update-ref", rig.ref, tip);
  server.requests = [];
});

const git = (...args: string[]) => server.git("a/b", ...args);
const command = (old: string, to: string, ref = rig.ref, caps = CAPS) => pktLine(`${old} ${to} ${ref}\0 ${caps}`);
const FLUSH = Buffer.from("0000");

function packOf(...revs: string[]): Buffer {
  const cwd = git("rev-parse", "--absolute-git-dir");
  return execFileSync("git", ["pack-objects", "--revs", "--stdout", "-q"], {
    cwd,
    env: CLEAN_ENV,
    input: revs.join("\n"),
  });
}
/** A pack of just these objects, in this order. */
function packOfObjects(...ids: string[]): Buffer {
  const cwd = git("rev-parse", "--absolute-git-dir");
  return execFileSync("git", ["pack-objects", "--stdout", "-q"], {
    cwd,
    env: CLEAN_ENV,
    input: ids.map((id) => `${id}\n`).join(""),
  });
}

async function post(body: Buffer, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  const answer = await rig.call(`${repositoryRoute(url)}/git-receive-pack`, {
    method: "POST",
    headers: { "content-type": "application/x-git-receive-pack-request", ...headers },
    body: Uint8Array.from(body),
  });
  return { status: answer.status, text: await answer.text() };
}
const pushed = () => server.requests.some(({ method }) => method === "POST");
const now = () => git("rev-parse", rig.ref);

test("an honest update passes, compressed as well, with one commit or three", async () => {
  const body = Buffer.concat([command(tip, next), FLUSH, packOf(next, `^${tip}`)]);
  expect((await post(gzipSync(body), { "content-encoding": "gzip" })).text).toContain(`ok ${rig.ref}`);
  expect(now()).toBe(next);
  const more = Buffer.concat([command(next, far), FLUSH, packOf(far, `^${next}`)]);
  expect((await post(more)).text).toContain(`ok ${rig.ref}`);
  expect(now()).toBe(far);
});

test("an empty list is git's question whether it may push: it is answered, and nobody else is asked", async () => {
  expect(await post(FLUSH)).toEqual({ status: 200, text: "" });
  expect(server.requests).toEqual([]);
});

const good = () => packOf(next, `^${tip}`);
const raw = (...parts: (string | Buffer)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part)));

const MALFORMED: [string, () => Buffer][] = [
  ["nothing at all", () => raw("")],
  ["a length of 0001", () => raw("0001", command(tip, next), FLUSH, good())],
  ["a length of 0002", () => raw("0002", command(tip, next), FLUSH, good())],
  ["a length of 0003", () => raw("0003", command(tip, next), FLUSH, good())],
  ["an empty line", () => raw("0004", command(tip, next), FLUSH, good())],
  ["a length that is no number", () => raw("zzzz", FLUSH, good())],
  ["a length with a sign", () => raw("+0a5", FLUSH, good())],
  ["a length in upper case", () => raw("00AB", "a".repeat(167), FLUSH, good())],
  ["a length above the limit", () => raw("fff5", "a".repeat(0xfff1), FLUSH)],
  ["a line that is longer than the body", () => raw("00ff", `${tip} ${next} ${rig.ref}`)],
  ["no flush after the commands", () => raw(command(tip, next), good())],
  ["ids in upper case", () => raw(pktLine(`${tip.toUpperCase()} ${next} ${rig.ref}\0${CAPS}`), FLUSH, good())],
  ["short ids", () => raw(pktLine(`${tip.slice(1)} ${next} ${rig.ref}\0${CAPS}`), FLUSH, good())],
  ["ids of two lengths", () => raw(pktLine(`${tip} ${"a".repeat(64)} ${rig.ref}\0${CAPS}`), FLUSH, good())],
  ["no NUL before the capabilities", () => raw(pktLine(`${tip} ${next} ${rig.ref} ${CAPS}`), FLUSH, good())],
  ["two NULs", () => raw(pktLine(`${tip} ${next} ${rig.ref}\0${CAPS}\0${CAPS}`), FLUSH, good())],
  ["a NUL within the ref", () => raw(pktLine(`${tip} ${next} ${rig.ref}\0/../main\0${CAPS}`), FLUSH, good())],
  ["a ref with a line break", () => raw(pktLine(`${tip} ${next} ${rig.ref}\nx\0${CAPS}`), FLUSH, good())],
  ["a ref with ..", () => raw(pktLine(`${tip} ${next} ${rig.ref}/../main\0${CAPS}`), FLUSH, good())],
  ["a ref with a space behind it", () => raw(pktLine(`${tip} ${next} ${rig.ref} \0${CAPS}`), FLUSH, good())],
  [
    "a ref with letters that look alike",
    () => raw(pktLine(Buffer.from(`${tip} ${next} ${rig.ref.replace("o", "о")}\0${CAPS}`)), FLUSH, good()),
  ],
  ["a ref without refs/", () => raw(pktLine(`${tip} ${next} HEAD\0${CAPS}`), FLUSH, good())],
  ["the same ref twice", () => raw(command(tip, next), pktLine(`${tip} ${rival} ${rig.ref}`), FLUSH, good())],
  [
    "capabilities on the second line",
    () => raw(command(tip, next), pktLine(`${tip} ${next} refs/heads/x\0atomic`), FLUSH, good()),
  ],
  ["a capability twice", () => raw(command(tip, next, rig.ref, `${CAPS} agent=a agent=b`), FLUSH, good())],
  ["sha256 for ids of sha1", () => raw(command(tip, next, rig.ref, `${CAPS} object-format=sha256`), FLUSH, good())],
  ["a shallow line after a command", () => raw(command(tip, next), pktLine(`shallow ${tip}`), FLUSH, good())],
  ["a shallow line with more in it", () => raw(pktLine(`shallow ${tip} ${tip}`), command(tip, next), FLUSH, good())],
  ["no pack behind the commands", () => raw(command(tip, next), FLUSH)],
  ["something else than a pack", () => raw(command(tip, next), FLUSH, "PICK\0\0\0\x02\0\0\0\0")],
  ["push options in the pack's place", () => raw(command(tip, next), FLUSH, pktLine("ci.skip"), FLUSH, good())],
];
test.each(MALFORMED)("malformed: %s", async (_what, body) => {
  const got = await post(body());
  expect([got.status, got.text]).toEqual([400, expect.stringContaining("malformed_git")]);
  expect(pushed()).toBe(false);
  expect(now()).toBe(tip);
});

const NOT_PASSED_ON: [string, () => Buffer][] = [
  ["atomic", () => raw(command(tip, next, rig.ref, `${CAPS} atomic`), FLUSH, good())],
  ["push options", () => raw(command(tip, next, rig.ref, `${CAPS} push-options`), FLUSH, FLUSH, good())],
  [
    "a push certificate",
    () => raw(pktLine(`push-cert\0 ${CAPS}`), pktLine("certificate version 0.1\n"), FLUSH, good()),
  ],
  ["a capability that nobody knows", () => raw(command(tip, next, rig.ref, `${CAPS} x-force=1`), FLUSH, good())],
];
test.each(NOT_PASSED_ON)("not passed on: %s", async (_what, body) => {
  const got = await post(body());
  expect([got.status, got.text]).toEqual([400, expect.stringContaining("push_refused")]);
  expect(pushed()).toBe(false);
});

const REJECTED: [string, () => Buffer, RegExp][] = [
  ["main", () => raw(command(base, next, "refs/heads/main"), FLUSH, good()), /ng refs\/heads\/main only/],
  ["a name below the branch", () => raw(command(ZERO, next, `${rig.ref}/x`), FLUSH, good()), /only/],
  ["a tag", () => raw(command(ZERO, next, "refs/tags/v1"), FLUSH, good()), /only/],
  [
    "two branches",
    () => raw(command(tip, next), pktLine(`${base} ${next} refs/heads/main`), FLUSH, good()),
    /ng .*only[\s\S]*ng .*only/,
  ],
  ["the branch of a hidden ref", () => raw(command(ZERO, next, "refs/pull/1/head"), FLUSH, good()), /only/],
  ["a delete", () => raw(command(tip, ZERO), FLUSH), /deleting is not allowed/],
  ["an update of what is not there any more", () => raw(command(base, next), FLUSH, good()), /fetch first/],
  ["a creation of what is there", () => raw(command(ZERO, rival), FLUSH, packOf(rival)), /fetch first/],
  ["a rewind", () => raw(command(tip, base), FLUSH, packOfObjects()), /non-fast-forward/],
  ["another line, its pack complete", () => raw(command(tip, rival), FLUSH, packOf(rival)), /non-fast-forward/],
  [
    "another line beside an honest commit",
    () => raw(command(tip, rival), FLUSH, packOfObjects(next, rival, tip)),
    /non-fast-forward/,
  ],
  [
    "a commit that is not in the pack nor on the server",
    () => raw(command(tip, "5".repeat(40)), FLUSH, good()),
    /non-fast-forward|./,
  ],
  [
    "no commits in the pack",
    () => raw(command(tip, rival), FLUSH, packOfObjects(git("rev-parse", "main^{tree}"), rival)),
    /non-fast-forward/,
  ],
  ["a broken pack", () => raw(command(tip, rival), FLUSH, "PACK\0\0\0\x02\0\0\0\x05\x95garbage"), /non-fast-forward/],
  [
    "a pack that says it is endless",
    () => raw(command(tip, rival), FLUSH, "PACK\0\0\0\x02\xff\xff\xff\xff", Buffer.alloc(100_000, 0xff)),
    /non-fast-forward/,
  ],
];
test.each(REJECTED)("rejected: %s", async (_what, body, said) => {
  // Objects that only the client has are not on the server under a name.
  const got = await post(body());
  if (got.status === 200) expect(got.text).toMatch(said);
  else expect(got.status).toBeGreaterThanOrEqual(400);
  expect(server.requests.some(({ path }) => path.endsWith("git-receive-pack") && !path.includes("?"))).toBe(false);
  expect(now()).toBe(tip);
  expect(git("rev-parse", "main")).toBe(base);
});

test("an approval of one push is none for another", async () => {
  await rig.grant(url, "token-of-tests", { push: "ask" });
  const body = raw(command(tip, next), FLUSH, good());
  const approved = (ids: string) => post(body, { [PUSH_HEADERS.approved]: ids });
  for (const ids of [`${tip}:${rival}`, `${ZERO}:${next}`, next, "*", ""]) {
    expect((await approved(ids)).text).toContain("waits for approval");
  }
  expect(now()).toBe(tip);
  expect((await approved(`${ZERO}:${rival},${tip}:${next}`)).text).toContain(`ok ${rig.ref}`);
  await rig.grant(url, "token-of-tests");
});

test("other types, methods and codings are refused", async () => {
  const body = raw(command(tip, next), FLUSH, good());
  expect((await post(body, { "content-type": "application/x-git-upload-pack-request" })).status).toBe(415);
  expect((await post(body, { "content-encoding": "br" })).status).toBe(415);
  expect((await post(body, { "content-encoding": "gzip" })).status).toBe(400);
  expect(server.requests).toEqual([]);
});
