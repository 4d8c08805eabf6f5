/** The way back from the browser: who is let through, and who is not. */
import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { REDIRECT_PATH, RedirectListener } from "./listener.ts";

const listener = new RedirectListener(0);
afterEach(() => listener.close());

const answers: URLSearchParams[] = [];
async function waiting(path = REDIRECT_PATH): Promise<string> {
  answers.length = 0;
  const origin = await listener.hold();
  listener.expect("right", path, async (parameters) => answers.push(parameters) > 0);
  return origin;
}

/** A request with headers that `fetch` does not let anyone choose. */
function raw(origin: string, path: string, headers: Record<string, string>, method = "GET"): Promise<number> {
  return new Promise((resolve, reject) => {
    const { port } = new URL(origin);
    const outgoing = request({ host: "127.0.0.1", port, path, method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.on("error", reject).end();
  });
}

test.each<[string, string, Record<string, string>, string]>([
  ["a name that was made to lead here", `${REDIRECT_PATH}?state=right`, { host: "evil.test" }, "GET"],
  ["another name of this machine", `${REDIRECT_PATH}?state=right`, { host: "localhost" }, "GET"],
  ["another port", `${REDIRECT_PATH}?state=right`, { host: "127.0.0.1:1" }, "GET"],
  ["a form that a page posts", `${REDIRECT_PATH}?state=right`, {}, "POST"],
  ["another path", "/?state=right", {}, "GET"],
  ["the path of another server's sign-in", `${REDIRECT_PATH}/0123456789abcdef?state=right`, {}, "GET"],
  ["a path around it", `${REDIRECT_PATH}/../callback/x?state=right`, {}, "GET"],
  ["no state", `${REDIRECT_PATH}?code=x`, {}, "GET"],
  ["a wrong state", `${REDIRECT_PATH}?state=righT`, {}, "GET"],
  ["two states", `${REDIRECT_PATH}?state=right&state=right`, {}, "GET"],
  ["an address in the request line", `http://evil.test${REDIRECT_PATH}?state=wrong`, {}, "GET"],
])("%s is not let through, and the right one still is", async (_, path, headers, method) => {
  const origin = await waiting();
  expect([404, 410]).toContain(await raw(origin, path, headers, method));
  expect(answers).toEqual([]);
  expect((await fetch(`${origin}${REDIRECT_PATH}?state=right&code=1`)).status).toBe(200);
  expect(answers.map(String)).toEqual(["state=right&code=1"]);
  expect((await fetch(`${origin}${REDIRECT_PATH}?state=right&code=1`)).status).toBe(410);
  expect(answers).toHaveLength(1);
});

test("pages say nothing of the request, load nothing and are framed by nobody", async () => {
  const origin = await waiting();
  for (const state of ["wrong", "right"]) {
    const response = await fetch(`${origin}${REDIRECT_PATH}?state=${state}&code=<b>echo</b>&error_description=echo`);
    expect(await response.text()).not.toContain("echo");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(response.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("referrer-policy")).toBe("no-referrer");
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  }
});

test("headers that are too large, and no HTTP at all, are refused; others go on", async () => {
  const origin = await waiting();
  expect(await raw(origin, `${REDIRECT_PATH}?state=right`, { x: "x".repeat(20_000) })).toBe(431);
  const rubbish = await new Promise<string>((resolve) => {
    const socket = connect(Number(new URL(origin).port), "127.0.0.1", () => socket.end("\0\0\0 what?\r\n\r\n"));
    let text = "";
    socket.on("data", (part) => {
      text += part;
    });
    socket.on("close", () => resolve(text)).on("error", () => undefined);
  });
  expect(rubbish).toMatch(/^HTTP\/1\.1 400/);
  expect((await fetch(`${origin}${REDIRECT_PATH}?state=right`)).status).toBe(200);
});

test("it is open only while somebody waits, and answers under way are finished", async () => {
  const one = await listener.hold();
  const two = await listener.hold();
  expect(two).toBe(one);
  listener.release();
  let finish: (worked: boolean) => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    listener.expect("slow", REDIRECT_PATH, () => {
      resolve();
      return new Promise((done) => {
        finish = done;
      });
    });
  });
  const slow = fetch(`${one}${REDIRECT_PATH}?state=slow`);
  await begun;
  listener.release();
  await expect.poll(() => fetch(one).catch(() => "closed")).toBe("closed");
  finish(false);
  expect((await slow).status).toBe(400);
  expect(await listener.hold()).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
});
