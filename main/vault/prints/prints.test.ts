import { afterEach, expect, test, vi } from "vitest";
import { PRINTS_HEADER, type PrintList } from "../../contract/secrets/prints.ts";
import { SecretScanner } from "../../contract/secrets/scanner.ts";
import { LAUNCH_SECRET, stopBrokers, type TestBroker, testBroker } from "../testing/broker_client.ts";
import { printKey } from "./keys.ts";
import { Prints } from "./prints.ts";

afterEach(stopBrokers);

const never = new AbortController().signal;
const SECRET = "canary-Zq8vL2mN4xR7tY1wB5";
const listOf = async (broker: TestBroker, known = "", wait = "no"): Promise<PrintList> =>
  (await (await broker.control("GET", `prints?known=${known}&wait=${wait}`)).json()) as PrintList;

function recognises(list: PrintList, text: string): boolean {
  const scanner = new SecretScanner(printKey(LAUNCH_SECRET));
  scanner.add(list.prints);
  return scanner.mask(text) !== text;
}

test("prints of another launch fit nothing, and none of them holds a piece of the value", async () => {
  const one = new Prints("11".repeat(32), [SECRET]).all();
  const other = new Prints("22".repeat(32), [SECRET]).all();
  expect(one).toHaveLength(other.length);
  for (const [index, print] of one.entries()) expect(print.slice(1)).not.toEqual(other[index]?.slice(1));
  const text = JSON.stringify(one);
  for (let at = 0; at + 4 <= SECRET.length; at++) expect(text).not.toContain(SECRET.slice(at, at + 4));
});

test("a list goes on from where it was, and whole for whoever knows another start's", async () => {
  const prints = new Prints(LAUNCH_SECRET, [SECRET]);
  const first = await prints.list("", 0, never);
  expect(first.prints.length).toBeGreaterThan(3);
  expect(await prints.list(first.version, 0, never)).toEqual({ version: first.version, prints: [] });
  prints.learn([SECRET, "another-secret-value"]);
  const next = await prints.list(first.version, 0, never);
  expect(next.prints.length).toBeGreaterThan(0);
  expect(next.version).toBe(prints.version);
  for (const odd of ["", "x", `${"0".repeat(16)}.4`, "..", `${first.version.split(".")[0]}.999999`, "NaN.NaN"]) {
    const { prints: whole } = await prints.list(odd, 0, never);
    expect(whole.length).toBe(odd.endsWith(".999999") ? 0 : prints.all().length);
  }
});

test("whoever waits is told at once of a new value, and let go by time and by its own end", async () => {
  const prints = new Prints(LAUNCH_SECRET, [SECRET]);
  const { version } = prints;
  const waiting = prints.list(version, 60_000, never);
  prints.learn(["another-secret-value"]);
  expect((await waiting).prints.length).toBeGreaterThan(0);
  expect((await prints.list(prints.version, 1, never)).prints).toEqual([]);
  const left = new AbortController();
  const leaving = prints.list(prints.version, 60_000, left.signal);
  left.abort();
  expect((await leaving).prints).toEqual([]);
  expect((await prints.list(prints.version, 60_000, left.signal)).prints).toEqual([]);
});

test("a value waits until the engine has put its print into effect, which it says with its next question", async () => {
  const prints = new Prints(LAUNCH_SECRET, []);
  // No engine has asked yet: there is nobody to wait for.
  prints.learn(["a-value-before-any-engine"]);
  await prints.shared();
  const first = await prints.list("", 0, never);
  let shared = false;
  const waiting = prints.shared().then(() => {
    shared = true;
  });
  await prints.list("", 0, never);
  expect(shared).toBe(false);
  await prints.list(first.version, 0, never);
  await waiting;
});

test("an engine that never takes note keeps the value from being used", async () => {
  vi.useFakeTimers();
  try {
    const prints = new Prints(LAUNCH_SECRET, [SECRET]);
    await prints.list("", 0, never);
    const refused = expect(prints.shared()).rejects.toMatchObject({ name: "Refusal", status: 503 });
    await vi.advanceTimersByTimeAsync(60_000);
    await refused;
  } finally {
    vi.useRealTimers();
  }
});

test("the broker's list has the model's key, the launch secret and the tokens of sessions", async () => {
  const broker = await testBroker({ api_key: "sk-ant-canary-0123456789", base_url: "http://user-less.invalid" });
  const list = await listOf(broker);
  for (const secret of ["sk-ant-canary-0123456789", LAUNCH_SECRET, broker.token]) {
    expect(recognises(list, `x ${secret} y`)).toBe(true);
    expect(recognises(list, Buffer.from(`user:${secret}`).toString("base64"))).toBe(true);
    expect(JSON.stringify(list)).not.toContain(secret);
  }
});

test("every answer says how far the prints go, refusals too; only the launch secret reads them", async () => {
  const broker = await testBroker({});
  const { version } = await listOf(broker);
  for (const path of ["status", "nothing", "prints?known="]) {
    const response = await broker.control("GET", path);
    expect(response.headers.get(PRINTS_HEADER)).toBe(version);
  }
  const refused = await broker.control("GET", "prints?known=", undefined, broker.token);
  expect(refused.status).toBe(401);
  expect(refused.headers.get(PRINTS_HEADER)).toBe(version);
  const answered = await broker.model("/v1/messages", {
    model: "x",
    max_tokens: 1,
    messages: [{ role: "user", content: "hi" }],
  });
  expect(answered.headers.get(PRINTS_HEADER)).toBe(version);
  await answered.body?.cancel();
  for (const odd of ["prints", "prints?known=%00", `prints?known=${"9".repeat(300)}`, "prints?known=a/b"]) {
    expect((await broker.control("GET", odd)).status).toBe(404);
  }
});

test("a broker that shuts down lets go of whoever waits", async () => {
  const broker = await testBroker({});
  const { version } = await listOf(broker);
  const waiting = listOf(broker, version, "yes").catch(() => null);
  const uses = broker.control("GET", "audit?seen=&written=").catch(() => null);
  // Both are being waited for when the next answer is there.
  await broker.control("GET", "status");
  await broker.close(60_000);
  await waiting;
  await uses;
});
