/** What happens to tokens around a request: a store of tokens stands in the vault's place, so that each turn can be set. */
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { CredentialRef, McpGrant } from "../../contract/vaults/grants.ts";
import { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import { DEFAULT_TIMEOUTS, Pool, Upstream } from "../relay/upstream.ts";
import { type Bearers, callServer, type ServerCall } from "./server_call.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const credential: CredentialRef = { vault_id: "v", credential_id: "c", secret_id: "0".repeat(32), issuer: "x" };

interface Seen {
  path: string;
  token: string | undefined;
}

type Reply = { status: number; headers?: Record<string, string> };

async function serverThat(reply: (seen: Seen) => Reply) {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      const one = { path: request.url ?? "", token: request.headers.authorization?.replace("Bearer ", "") };
      seen.push(one);
      const { status, headers } = reply(one);
      response.writeHead(status, headers).end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, seen };
}

/** Holds one token; `next` are those that a renewal brings. */
function tokens(first: string, next: string[] = []) {
  let current = first;
  const renewals: string[] = [];
  const bearers: Bearers = {
    open: () => Promise.resolve({ secrets: { access_token: current, refresh_token: `refresh-of-${current}` } }),
    bearer: () => Promise.resolve({ token: current }),
    renewed: (_ref, refused) => {
      if (refused !== current) return Promise.resolve({ token: current });
      const token = next.shift();
      if (token === undefined) return Promise.resolve(null);
      renewals.push(refused);
      current = token;
      return Promise.resolve({ token });
    },
  };
  return { bearers, renewals };
}

function callTo(url: string, changes: Partial<ServerCall> = {}) {
  const pool = new Pool();
  closing.push(() => pool.close());
  const notes = { uses: 0, challenges: [] as string[] };
  const grant: McpGrant = { id: "0".repeat(32), url, credential };
  const call: ServerCall = {
    grant,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: Buffer.from("{}"),
    repeatable: false,
    signal: new AbortController().signal,
    redactor: new Redactor([]),
    onUse: () => (notes.uses += 1),
    onChallenge: (header) => notes.challenges.push(header),
    ...changes,
  };
  const upstream = new Upstream(new URL(url), DEFAULT_TIMEOUTS, { pool });
  return { call, upstream, notes };
}

const ended = (answer: IncomingMessage): number => {
  answer.resume();
  return answer.statusCode ?? 0;
};

const refusalOf = async (promise: Promise<unknown>): Promise<Refusal> => {
  const error = await promise.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
};

test("a refused token is renewed once, the request repeated with the new one, and all values are masked", async () => {
  const { url, seen } = await serverThat(({ token }) => ({ status: token === "canary-new" ? 200 : 401 }));
  const { bearers, renewals } = tokens("canary-old", ["canary-new"]);
  const { call, upstream, notes } = callTo(url);
  expect(ended(await callServer(call, upstream, bearers))).toBe(200);
  expect(seen.map(({ token }) => token)).toEqual(["canary-old", "canary-new"]);
  expect([renewals, notes.uses]).toEqual([["canary-old"], 2]);
  const echo = "canary-old canary-new refresh-of-canary-old refresh-of-canary-new";
  expect(call.redactor.text(echo)).toBe(echo.replace(/\S/g, "*"));
});

test("twenty requests at once whose token has just expired: one renewal, no failed request", async () => {
  let valid = "first";
  const { url, seen } = await serverThat(({ token }) => ({ status: token === valid ? 200 : 401 }));
  const { bearers, renewals } = tokens("first", ["second"]);
  const round = () =>
    Promise.all(
      Array.from({ length: 20 }, async () => {
        const { call, upstream } = callTo(url);
        return ended(await callServer(call, upstream, bearers));
      }),
    );
  expect(await round()).toEqual(new Array(20).fill(200));
  valid = "second";
  expect(await round()).toEqual(new Array(20).fill(200));
  expect(renewals).toEqual(["first"]);
  expect(seen.filter(({ token }) => token === "second")).toHaveLength(20);
});

test("a token that is refused after its renewal, too: no third attempt, and both challenges are kept", async () => {
  const challenge = 'Bearer resource_metadata="https://x.test/.well-known/oauth-protected-resource"';
  const { url, seen } = await serverThat(() => ({ status: 401, headers: { "www-authenticate": challenge } }));
  const { bearers } = tokens("one", ["two", "three"]);
  const { call, upstream, notes } = callTo(url);
  expect((await refusalOf(callServer(call, upstream, bearers))).code).toBe("sign_in_needed");
  expect(seen.map(({ token }) => token)).toEqual(["one", "two"]);
  expect(notes.challenges).toEqual([challenge, challenge]);
});

test("no renewal to be had: one attempt; a renewal that fails says why", async () => {
  const { url, seen } = await serverThat(() => ({ status: 401 }));
  const { call, upstream } = callTo(url);
  expect((await refusalOf(callServer(call, upstream, tokens("one").bearers))).code).toBe("sign_in_needed");
  const away = new Refusal(502, "api_error", "The token endpoint is away.", "endpoint_unreachable");
  const bearers: Bearers = { ...tokens("one").bearers, renewed: () => Promise.reject(away) };
  expect(await refusalOf(callServer(call, upstream, bearers))).toBe(away);
  expect(seen).toHaveLength(2);
});

test("a token that cannot be had: nothing is sent", async () => {
  const { url, seen } = await serverThat(() => ({ status: 200 }));
  const { call, upstream, notes } = callTo(url);
  const locked = new Refusal(400, "invalid_request_error", "Locked.", "keychain_locked");
  for (const broken of ["open", "bearer"] as const) {
    const bearers: Bearers = { ...tokens("one").bearers, [broken]: () => Promise.reject(locked) };
    expect(await refusalOf(callServer(call, upstream, bearers))).toBe(locked);
  }
  expect([seen, notes.uses]).toEqual([[], 0]);
});

test("a session that was archived while the keychain was asked: nothing is sent", async () => {
  const { url, seen } = await serverThat(() => ({ status: 200 }));
  const abort = new AbortController();
  const { call, upstream, notes } = callTo(url, { signal: abort.signal });
  const { bearers } = tokens("one");
  const slow: Bearers = {
    ...bearers,
    bearer: async (ref) => {
      abort.abort();
      return bearers.bearer(ref);
    },
  };
  await expect(callServer(call, upstream, slow)).rejects.toThrow("abort");
  expect([seen, notes.uses]).toEqual([[], 0]);
});

test("403 for want of a scope is kept for the sign-in and passed on; another 403 is only passed on", async () => {
  const header = 'Bearer error="insufficient_scope", scope="a b"';
  const { url } = await serverThat(({ token }) => ({
    status: 403,
    headers: { "www-authenticate": token === "little" ? header : "Basic" },
  }));
  const little = callTo(url);
  expect(ended(await callServer(little.call, little.upstream, tokens("little").bearers))).toBe(403);
  const other = callTo(url);
  expect(ended(await callServer(other.call, other.upstream, tokens("other").bearers))).toBe(403);
  expect([little.notes.challenges, other.notes.challenges]).toEqual([[header], []]);
});

test("a redirect within the origin that keeps the method is followed with the token; four are too many", async () => {
  const { url, seen } = await serverThat(({ path }) => {
    const step = Number(/\d$/.exec(path)?.[0] ?? 0);
    return path === "/mcp3" && seen.length < 5
      ? { status: 200 }
      : { status: 307, headers: { location: `/mcp${step + 1}` } };
  });
  const first = callTo(url);
  expect(ended(await callServer(first.call, first.upstream, tokens("one").bearers))).toBe(200);
  expect(seen).toEqual(["/mcp", "/mcp1", "/mcp2", "/mcp3"].map((path) => ({ path, token: "one" })));
  const second = callTo(url);
  const refusal = await refusalOf(callServer(second.call, second.upstream, tokens("one").bearers));
  expect([refusal.code, seen.length]).toEqual(["endpoint_redirected", 8]);
});
