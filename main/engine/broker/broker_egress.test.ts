import type { Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import type { BrokerAddress } from "../../contract/process.ts";
import type { VariableGrant } from "../../contract/vaults/grants.ts";
import { BrokerClient } from "../../harness/broker_client.ts";
import { EgressRefused } from "../../sandbox/docker/network/refused.ts";
import { type Broker, startBroker } from "../../vault/broker.ts";
import { readAll, tcpServer } from "../../vault/egress/testing/raw_connect.ts";
import { BrokerEgress } from "./broker_egress.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

let launches = 0;

/** A broker that can be restarted, and the engine's way through it. */
async function rig() {
  const echo = await tcpServer((socket) => socket.pipe(socket));
  closing.push(echo.close);
  let broker: Broker;
  let address: BrokerAddress = { url: "http://127.0.0.1:1", launch_secret: "" };
  const start = async () => {
    launches += 1;
    const launch_secret = launches.toString(16).padStart(64, "0");
    broker = await startBroker(
      { type: "boot", launch_secret, model: {}, data_dir: "/nowhere" },
      {
        writeLog: () => undefined,
        egress: {
          resolve: () => Promise.resolve(["203.0.113.7"]),
          target: () => ({ host: "127.0.0.1", port: echo.port }),
        },
      },
    );
    address = { url: broker.url, launch_secret };
  };
  await start();
  closing.push(() => broker.close());
  const client = new BrokerClient(() => address);
  closing.push(async () => client.dropConnections());
  /** What the session may use, as the engine would tell it. */
  let variables: VariableGrant[] = [];
  let registered = 0;
  const egress = new BrokerEgress(client, async (session_id) => {
    registered += 1;
    await client.control("POST", "/control/grants", {
      session_id,
      grants: { mcp_servers: [], repositories: [], variables },
    });
  });
  return {
    egress,
    grant: (more: VariableGrant[]) => {
      variables = more;
    },
    registrations: () => registered,
    client,
    sessionId: newId("session"),
    stop: () => broker.close(),
    restart: async () => {
      await broker.close();
      await start();
    },
  };
}

const limited = (...allowed_hosts: string[]) => ({ mode: "limited", allowed_hosts }) as const;

async function echoes(egress: BrokerEgress, sessionId: string): Promise<boolean> {
  const socket = (await egress.connect(sessionId, "example.com", 443)) as Socket;
  socket.end("ping");
  return (await readAll(socket)) === "ping";
}

test("connects to what is allowed and names the rule that refuses the rest", async () => {
  const { egress, sessionId } = await rig();
  await egress.allow(sessionId, limited("example.com"));
  expect(await echoes(egress, sessionId)).toBe(true);
  const refused = egress.connect(sessionId, "example.net", 443);
  await expect(refused).rejects.toThrow("example.net is not among the environment's allowed hosts");
  await expect(refused).rejects.toBeInstanceOf(EgressRefused);
  await expect(egress.connect(sessionId, "example.com", 22)).rejects.toBeInstanceOf(EgressRefused);
});

test("a restarted broker is told again; one whose session was revoked too", async () => {
  const { egress, client, sessionId, restart } = await rig();
  await egress.allow(sessionId, limited("example.com"));
  await restart();
  expect(await echoes(egress, sessionId)).toBe(true);
  await client.control("DELETE", `/control/capabilities/${sessionId}`);
  expect(await echoes(egress, sessionId)).toBe(true);
});

test("a session that was never allowed, was forgotten, or is unrestricted gets nowhere", async () => {
  const { egress, sessionId } = await rig();
  await expect(egress.connect(sessionId, "example.com", 443)).rejects.toThrow("No allow-list");
  await egress.allow(sessionId, limited("example.com"));
  egress.forget(sessionId);
  await expect(egress.connect(sessionId, "example.com", 443)).rejects.toBeInstanceOf(EgressRefused);
  const other = newId("session");
  await egress.allow(other, { mode: "unrestricted" });
  await expect(egress.connect(other, "example.com", 443)).rejects.toBeInstanceOf(EgressRefused);
});

test("grants are registered when a broker does not know them, also after a restart and a revocation", async () => {
  const { egress, client, sessionId, restart, grant, registrations } = await rig();
  grant([]);
  await egress.allow(sessionId, { mode: "unrestricted", intercept: true });
  expect(await echoes(egress, sessionId)).toBe(true);
  expect(await echoes(egress, sessionId)).toBe(true);
  expect(registrations()).toBe(1);
  await restart();
  expect(await echoes(egress, sessionId)).toBe(true);
  await client.control("DELETE", `/control/capabilities/${sessionId}`);
  expect(await echoes(egress, sessionId)).toBe(true);
  expect(registrations()).toBe(3);
});

test("a value that cannot be had is an error that says why, and no rule of the environment's", async () => {
  const { egress, sessionId, grant } = await rig();
  // Nothing can be sealed where this broker would keep it.
  const credential = { vault_id: "vlt_1", credential_id: "vcrd_1", secret_id: "0".repeat(32), issuer: "TOKEN" };
  const placeholder = "lhv_0123456789abcdef";
  grant([{ credential, name: "TOKEN", placeholder, hosts: ["example.com"], header: true, body: true }]);
  await egress.allow(sessionId, { ...limited("example.com"), intercept: true });
  const failed = egress.connect(sessionId, "example.com", 443);
  await expect(failed).rejects.toThrow("need the value of a variable, which cannot be had, so nothing was sent.");
  await expect(failed).rejects.not.toBeInstanceOf(EgressRefused);
  await expect(egress.certificate()).rejects.toThrow("GET /control/ca");
});

test("a broker that is away is an error that says so, and no refusal", async () => {
  const { egress, sessionId, stop } = await rig();
  await egress.allow(sessionId, limited("example.com"));
  await stop();
  const failed = egress.connect(sessionId, "example.com", 443);
  await expect(failed).rejects.toThrow("broker");
  await expect(failed).rejects.not.toBeInstanceOf(EgressRefused);
});

test("a broker that takes connections and never answers is not waited for", async () => {
  const mute = await tcpServer(() => undefined);
  closing.push(mute.close);
  const client = new BrokerClient(() => ({ url: `http://127.0.0.1:${mute.port}`, launch_secret: "5ec7e7" }));
  const asked = client.control("POST", "/control/egress", {}, 50);
  await expect(asked).rejects.toThrow("did not answer POST /control/egress within 0.05 s");
  await expect(asked).rejects.not.toThrow("5ec7e7");
  client.dropConnections();
});
