/** What reaches the server before any route: limits, hosts, origins, keys, broken requests. */
import { type AddressInfo, connect, createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createApi } from "../app.ts";
import { listen, PortInUseError } from "../listen.ts";
import { type Rig, startRig } from "../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({}, { headersTimeoutMs: 300 });
});
afterAll(() => rig[Symbol.asyncDispose]());

/** Sends bytes as they are and resolves with everything that comes back until the server closes the connection. */
function raw(bytes: string): Promise<{ status: number; body: string; head: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(rig.host.split(":")[1]), "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => (text += chunk));
    socket.on("error", reject);
    socket.on("close", () => {
      const [head = "", body = ""] = text.split("\r\n\r\n");
      resolve({ status: Number(head.split(" ")[1]), body, head });
    });
  });
}

function get(path: string, headers: Record<string, string>): string {
  const lines = Object.entries({ connection: "close", ...headers }).map(([name, value]) => `${name}: ${value}`);
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

const message = async (answer: Response) => ((await answer.json()) as { error: { message: string } }).error.message;

const auth = () => ({ authorization: `Bearer ${rig.token}` });

describe("host and origin", () => {
  test.each(["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", "[::1]:80"])(
    "a foreign Host is refused: %s",
    async (host) => {
      const answer = await raw(get("/v1/agents", { host, ...auth() }));
      expect(answer.status).toBe(403);
      expect(JSON.parse(answer.body).error.type).toBe("permission_error");
    },
  );

  test("a missing or unreadable Host is refused with an envelope", async () => {
    const missing = await raw(get("/v1/agents", auth()));
    expect(missing.status).toBe(400);
    expect(JSON.parse(missing.body).error.type).toBe("invalid_request_error");
    expect((await raw(get("/v1/agents", { host: "a b", ...auth() }))).status).toBe(400);
  });

  test("localhost and 127.0.0.1 with the port are accepted", async () => {
    const port = rig.host.split(":")[1];
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, `LOCALHOST:${port}`]) {
      expect((await raw(get("/v1/agents", { host, ...auth() }))).status).toBe(200);
    }
  });

  test.each(["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1"])(
    "a foreign Origin is refused and gets no CORS header: %s",
    async (origin) => {
      const answer = await rig.request("/v1/agents", { headers: { origin } });
      expect(answer.status).toBe(403);
      expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    },
  );

  test("the app's own origin gets CORS headers, also on errors and preflights", async () => {
    const origin = "app://longhaul";
    const answer = await rig.request("/v1/agents/agent_none", { headers: { origin } });
    expect(answer.status).toBe(404);
    expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
    const preflight = await fetch(`${rig.url}/v1/agents`, {
      method: "OPTIONS",
      headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toBe("authorization");
  });

  test("the API's own origin needs no CORS", async () => {
    expect((await rig.request("/v1/agents", { headers: { origin: rig.url } })).status).toBe(200);
  });

  test.each(["cross-site", "same-site"])("a %s request of a browser is refused", async (site) => {
    const answer = await raw(get("/v1/agents", { host: rig.host, "sec-fetch-site": site, ...auth() }));
    expect(answer.status).toBe(403);
  });
});

describe("the key", () => {
  test.each([
    ["missing", {}],
    ["wrong", { authorization: "Bearer nope" }],
    ["of another scheme", { authorization: "Basic 0123" }],
    ["empty", { "x-api-key": "" }],
  ])("%s → 401 with an envelope", async (_, headers) => {
    const answer = await fetch(`${rig.url}/v1/agents`, { headers: headers as Record<string, string> });
    expect(answer.status).toBe(401);
    const body = (await answer.json()) as { error: { type: string }; request_id: string };
    expect(body.error.type).toBe("authentication_error");
    expect(body.request_id).toBe(answer.headers.get("request-id"));
  });

  test("Bearer and x-api-key are both accepted, with any version, beta and unknown header", async () => {
    const more = { "anthropic-version": "2023-06-01", "anthropic-beta": "a,b", "x-whatever": "1" };
    expect(
      (await fetch(`${rig.url}/v1/agents?beta=true`, { headers: { "x-api-key": rig.token, ...more } })).status,
    ).toBe(200);
    expect((await fetch(`${rig.url}/v1/agents`, { headers: { authorization: `bearer ${rig.token}` } })).status).toBe(
      200,
    );
  });

  test.each(["token", "api_key", "x-api-key", "access_token"])(
    "in the URL as ?%s= it is not looked at",
    async (name) => {
      expect((await fetch(`${rig.url}/v1/agents?${name}=${rig.token}`)).status).toBe(401);
    },
  );

  test("a sign-in code works once; nothing else is served without the key", async () => {
    const post = (code: unknown) =>
      fetch(`${rig.url}/longhaul/v1/sign_in`, { method: "POST", body: JSON.stringify({ code }) });
    expect((await post("wrong")).status).toBe(401);
    const first = await post("one-time");
    expect(await first.json()).toEqual({ token: rig.token });
    expect(first.headers.get("cache-control")).toBe("no-store");
    expect((await post("one-time")).status).toBe(401);
    expect((await post(1)).status).toBe(400);
    expect((await fetch(`${rig.url}/longhaul/v1/health`)).status).toBe(401);
    expect((await fetch(`${rig.url}/longhaul/v1/nothing`)).status).toBe(401);
  });
});

describe("bodies", () => {
  const post = (body: string, headers = {}) => rig.request("/v1/agents", { method: "POST", body, headers });

  test("malformed JSON names the position and quotes nothing of it", async () => {
    const answer = await post('{"name": "secret-name",\n "model": }');
    expect(answer.status).toBe(400);
    expect(await message(answer)).toBe('The request body is not valid JSON: unexpected "}" at line 2, column 11.');
  });

  test.each([
    ["empty", "", /empty/],
    ["a list", "[]", /must be an object, not a list/],
    ["deep", "[".repeat(5000) + "]".repeat(5000), /nested deeper/],
    ["__proto__", '{"name":"a","model":"m","metadata":{"__proto__":"x"}}', /__proto__/],
    ["a lone surrogate", '{"name":"\\ud800","model":"m"}', /surrogate/],
  ])("%s is a 400 that says why", async (_, body, text) => {
    const answer = await post(body);
    expect(answer.status).toBe(400);
    expect(await message(answer)).toMatch(text);
  });

  test.each([
    ["a list", `{"name":[${"0,".repeat(400_000)}0]}`],
    ["objects", `{"name":[${"{},".repeat(250_000)}0]}`],
    ["fields", `{${Array.from({ length: 400_002 }, (_, n) => `"${n}":0`).join(",")}}`],
    ["depth", "[".repeat(500_000)],
  ])("more values than any request has are refused before they are made: %s", async (_, body) => {
    const answer = await post(body);
    expect([answer.status, await message(answer)]).toEqual([400, expect.stringMatching(/more than 400,000 values/)]);
  });

  test("a long text may hold whatever it likes", async () => {
    const text = `${'[{,"\\'.repeat(100_000)}`;
    const answer = await post(JSON.stringify({ name: "a", model: "m", system: text }));
    expect(await message(answer)).toMatch(/^`system` must have at most 100000 characters/);
  });

  test("of many unknown fields the first are named", async () => {
    const answer = await post(JSON.stringify(Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`k${n}`, 0]))));
    const text = await message(answer);
    expect(text).toMatch(/Unknown field `k2`: remove it\. And 4997 more unknown fields\./);
    expect(text.length).toBeLessThan(300);
  });

  test("a host name longer than the system's URLs can be is refused like any other", async () => {
    const url = `https://${"A_".repeat(10_000)}`;
    const refused = async (path: string, body: unknown) => {
      const answer = await rig.request(path, { method: "POST", body });
      expect([answer.status, await message(answer)]).toEqual([400, expect.stringMatching(/2048 characters/)]);
    };
    await refused("/v1/agents", { name: "a", model: "m", mcp_servers: [{ type: "url", name: "n", url }] });
    const resources = [{ type: "github_repository", url }];
    await refused("/v1/sessions", { agent: "a", environment_id: "e", resources });
    const auth = { type: "static_bearer", mcp_server_url: url, token: "t" };
    await refused("/v1/vaults/vlt_x/credentials", { auth });
  });

  test("a body may arrive byte by byte", async () => {
    const body = JSON.stringify({ name: "drop by drop", model: "claude-opus-5-5" });
    const chunks = [...Buffer.from(body)].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join("");
    const answer = await raw(
      `POST /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nauthorization: Bearer ${rig.token}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
    );
    expect([answer.status, answer.body]).toEqual([200, expect.stringContaining("drop by drop")]);
  });

  test("without the key no more than a sign-in code is read", async () => {
    const answer = await raw(
      `POST /longhaul/v1/sign_in HTTP/1.1\r\nhost: ${rig.host}\r\nconnection: close\r\ncontent-length: 5000\r\n\r\n{`,
    );
    expect([answer.status, JSON.parse(answer.body).error.message]).toEqual([413, expect.stringContaining("4 KB")]);
  });

  test("bytes that are not UTF-8 are refused", async () => {
    const answer = await fetch(`${rig.url}/v1/agents`, {
      method: "POST",
      headers: auth(),
      body: Buffer.from([0x7b, 0xff, 0x7d]),
    });
    expect(await message(answer)).toMatch(/not valid UTF-8/);
  });

  test("more than 32 MB is a 413, whether announced or not", async () => {
    const announced = await raw(
      `POST /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nauthorization: Bearer ${rig.token}\r\nconnection: close\r\ncontent-length: 40000000\r\n\r\n{`,
    );
    expect(announced.status).toBe(413);
    expect(JSON.parse(announced.body).error.type).toBe("request_too_large");
    const chunk = Buffer.alloc(1024 * 1024, 0x20);
    let sent = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1;
        if (sent > 40) controller.close();
        else controller.enqueue(chunk);
      },
    });
    const init = { method: "POST", headers: auth(), body: stream, duplex: "half" };
    const streamed = await fetch(`${rig.url}/v1/agents`, init as RequestInit);
    expect(streamed.status).toBe(413);
  });
});

describe("broken and unwanted requests", () => {
  test("an unknown endpoint is a 404 envelope with a request id", async () => {
    for (const [method, path] of [
      ["GET", "/v1/nothing"],
      ["PUT", "/v1/agents"],
      ["POST", "/longhaul/v1/nothing"],
      ["GET", "/"],
    ] as const) {
      const answer = await rig.request(path, { method });
      expect(answer.status, path).toBe(404);
      expect(answer.headers.get("request-id")).toMatch(/^req_/);
      expect(((await answer.json()) as { type: string }).type).toBe("error");
    }
  });

  test("HEAD opens nothing", async () => {
    const id = await rig.session();
    const before = rig.orchestrator.listeners;
    expect((await rig.request(`/longhaul/v1/sessions/${id}/timeline`, { method: "HEAD" })).status).toBe(404);
    expect(rig.orchestrator.listeners).toBe(before);
  });

  test("headers that are too large, too slow, or no HTTP get an envelope too", async () => {
    const large = await raw(get("/v1/agents", { host: rig.host, "x-large": "a".repeat(40_000) }));
    expect(large.status).toBe(431);
    expect(JSON.parse(large.body).error.type).toBe("request_too_large");
    expect((await raw("HELLO\r\n\r\n")).status).toBe(400);
    const slow = await raw(`GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\n`);
    expect(slow.status).toBe(408);
    expect(slow.head).toMatch(/request-id: req_/);
  });

  test("a port in use is a typed error", async () => {
    const blocker = createServer();
    await new Promise<void>((resolve) => blocker.listen(0, "127.0.0.1", resolve));
    const { port } = blocker.address() as AddressInfo;
    const api = createApi(rig.ports);
    await expect(listen(api, { host: "127.0.0.1", port })).rejects.toThrow(PortInUseError);
    await new Promise((resolve) => blocker.close(resolve));
  });

  test.each([
    ["ENOSPC", "the disk is full"],
    ["EACCES", "may not be used"],
  ])("a file that cannot be stored is told in words: %s", async (code, words) => {
    const cause = Object.assign(new Error(`${code}: secret path`), { code });
    const fail = async () => Promise.reject(new Error("blob could not be written", { cause }));
    await using broken = await startRig({ blobs: { ...rig.ports.blobs, put: fail } });
    const form = new FormData();
    form.append("file", new Blob(["x"]), "a.txt");
    const headers = { authorization: `Bearer ${broken.token}` };
    const answer = await fetch(`${broken.url}/v1/files`, { method: "POST", headers, body: form });
    const text = await message(answer);
    expect([answer.status, text]).toEqual([500, expect.stringContaining(`${code}`)]);
    expect(text).toContain(words);
    expect(text).not.toContain("secret");
    expect((await broken.client.beta.files.list()).data).toEqual([]);
  });

  test("an unexpected failure is a 500 without details, reported once without the body", async () => {
    await using broken = await startRig({
      health: async () => {
        throw new Error("secret detail");
      },
    });
    const answer = await broken.request("/longhaul/v1/health?key=abc");
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("secret detail");
    expect(broken.failures).toHaveLength(1);
    expect(broken.failures[0]?.path).toBe("/longhaul/v1/health");
    expect(broken.failures[0]?.request_id).toBe(answer.headers.get("request-id"));
  });
});
