import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, onTestFinished, test } from "vitest";
import type { StoredEvent } from "../../contract/events.ts";
import type { CredentialUse } from "../../contract/vaults/grants.ts";
import { BrokerClient } from "../../harness/broker_client.ts";
import { MemoryLedger } from "../../session/memory_ledger.ts";
import { newSession, read } from "../../session/testing/drafts.ts";
import { AuditLog } from "../../vault/grants/audit.ts";
import { AuditChannel } from "./audit_channel.ts";

/** The broker's route over its real log; `stop` ends it as a death does. */
class AuditServer {
  log = new AuditLog();
  asked = 0;
  #server: Server | null = null;
  url = "http://127.0.0.1:1";

  async start(): Promise<void> {
    this.log = new AuditLog();
    const server = createServer((request, response) => {
      this.asked += 1;
      const query = new URL(request.url ?? "/", "http://x").searchParams;
      const at = (name: string) => {
        const [start = "", number = ""] = (query.get(name) ?? "").split(".");
        return { start, number: Number(number) };
      };
      const left = new AbortController();
      response.on("close", () => left.abort());
      void this.log
        .take(at("seen"), at("written"), query.get("wait") === "no" ? 0 : 20_000, left.signal)
        .then((answer) => {
          response.writeHead(200).end(JSON.stringify(answer));
        });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
  }

  stop(): void {
    this.#server?.closeAllConnections();
    this.#server?.close();
  }
}

let server = new AuditServer();
afterEach(() => server.stop());

interface Rig {
  channel: AuditChannel;
  ledger: MemoryLedger;
  sessionId: string;
  uses: () => Promise<number>;
  errors: unknown[];
  lines: string[];
}

async function rig(): Promise<Rig> {
  server = new AuditServer();
  await server.start();
  const ledger = new MemoryLedger();
  const sessionId = await newSession(ledger);
  const errors: unknown[] = [];
  const lines: string[] = [];
  const channel = new AuditChannel({
    client: new BrokerClient(() => ({ url: server.url, launch_secret: "ab".repeat(32) })),
    ledger,
    onError: (_, error) => errors.push(error),
    log: (line) => lines.push(line),
  });
  onTestFinished(() => channel.stop());
  const countOf = ({ event }: StoredEvent): number => (event.type === "longhaul.credential_used" ? event.count : 0);
  const uses = async () => (await read(ledger, sessionId)).map(countOf).reduce((sum, count) => sum + count, 0);
  return { channel, ledger, sessionId, uses, errors, lines };
}

const use = (session_id: string, over: Partial<CredentialUse> = {}): CredentialUse => ({
  session_id,
  vault_id: "vlt_1",
  credential_id: "vcrd_1",
  route: "mcp",
  host: "mcp.example.com",
  decision: "allowed",
  reason: "called a tool",
  ...over,
});

test("a use is in its session, and whoever listens hears of it first", async () => {
  const { channel, ledger, sessionId, uses } = await rig();
  const heard: string[] = [];
  const leave = channel.onUse(({ host, count }) => heard.push(`${host} ${count}`));
  channel.start();
  server.log.note(use(sessionId));
  await expect.poll(() => heard).toEqual(["mcp.example.com 1"]);
  leave();
  await channel.stop();
  expect(await uses()).toBe(1);
  const last = (await read(ledger, sessionId)).at(-1)?.event;
  const { session_id, ...fields } = use(sessionId);
  expect(last).toMatchObject({ type: "longhaul.credential_used", ...fields, count: 1 });
  expect(JSON.stringify(last)).not.toContain(session_id);
});

test("shutting down fetches what is there and writes it before it is done", async () => {
  const { channel, sessionId, uses } = await rig();
  channel.start();
  for (let index = 0; index < 500; index++) server.log.note(use(sessionId, { host: `h${index % 7}` }));
  await channel.stop();
  expect(await uses()).toBe(500);
  const { data } = await server.log.take({ start: "", number: 0 }, { start: "", number: 0 }, 0, AbortSignal.timeout(1));
  expect(data).toEqual([]);
});

test("a broker that dies and comes back with other numbers: nothing of either is lost or doubled", async () => {
  const { channel, sessionId, uses } = await rig();
  channel.start();
  for (let index = 0; index < 3; index++) server.log.note(use(sessionId, { host: `before${index}` }));
  let heard = 0;
  channel.onUse(() => {
    heard += 1;
  });
  await expect.poll(() => heard, { timeout: 10_000 }).toBe(3);
  server.stop();
  await server.start();
  for (let index = 0; index < 2; index++) server.log.note(use(sessionId, { host: `after${index}` }));
  await expect.poll(() => heard, { timeout: 20_000 }).toBe(5);
  await channel.stop();
  expect(await uses()).toBe(5);
});

test("a session that is gone holds up nobody else's, and is asked about no more", async () => {
  const { channel, ledger, sessionId, uses, errors } = await rig();
  const gone = await newSession(ledger);
  await ledger.deleteSession(gone);
  channel.start();
  server.log.note(use(gone));
  server.log.note(use(sessionId));
  await channel.stop();
  expect(await uses()).toBe(1);
  expect(errors).toEqual([]);
  const { data } = await server.log.take({ start: "", number: 0 }, { start: "", number: 0 }, 0, AbortSignal.timeout(1));
  expect(data).toEqual([]);
});

test("what one engine could not write is there for the next", async () => {
  const { channel, ledger, sessionId, errors } = await rig();
  const failing = { emitEvent: () => Promise.reject(new Error("no space left on device")) };
  const first = new AuditChannel({
    client: new BrokerClient(() => ({ url: server.url, launch_secret: "ab".repeat(32) })),
    ledger: failing as unknown as typeof ledger,
    onError: (_, error) => errors.push(error),
    log: () => undefined,
  });
  first.start();
  server.log.note(use(sessionId));
  await first.stop();
  expect(errors.length).toBeGreaterThan(0);
  channel.start();
  let heard = 0;
  channel.onUse(() => {
    heard += 1;
  });
  await expect.poll(() => heard, { timeout: 10_000 }).toBe(1);
});

test("uses that are too many are said in the log", async () => {
  const { channel, sessionId, lines } = await rig();
  for (let index = 0; index < 5_003; index++) server.log.note(use(sessionId, { host: `h${index}` }));
  channel.start();
  await expect.poll(() => lines, { timeout: 10_000 }).toHaveLength(1);
  expect(lines[0]).toMatch(/^3 uses of credentials/);
});

test("a broker that is away is asked again with pauses, and the end does not wait for it", async () => {
  const { channel } = await rig();
  server.stop();
  channel.start();
  await new Promise((resolve) => setTimeout(resolve, 50));
  await channel.stop();
});
