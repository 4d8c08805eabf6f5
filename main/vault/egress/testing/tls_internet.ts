/** An internet of one TLS server that shows a good certificate for any host, and a session whose variables are for it. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import type { RequestListener } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as tls from "node:tls";
import { newId } from "../../../contract/ids.ts";
import type { VariableGrant } from "../../../contract/vaults/grants.ts";
import { type FakeKeychain, fakeKeychain, keychainKeys } from "../../sealed/testing/keys.ts";
import { type TestBroker, testBroker } from "../../testing/broker_client.ts";
import { authorityCertificate, hostCertificate, newKey } from "../intercept/authority/certificates.ts";
import type { EgressOptions } from "../route.ts";
import { rawConnect } from "./raw_connect.ts";

const DAY_MS = 86_400_000;
const NAME = "the internet of the tests";

export interface TlsInternet {
  server: Server;
  port: number;
  /** PEM of who vouches for its hosts. */
  root: string;
  close(): Promise<void>;
}

/** @param certifies says for which host a certificate is shown to who asks for `name` */
export async function tlsInternet(
  serve: RequestListener,
  options: { certifies?: (name: string) => string; expired?: boolean } = {},
): Promise<TlsInternet> {
  const key = newKey();
  const from = Date.now() - 10 * DAY_MS;
  const root = await authorityCertificate(NAME, key, { from, to: Date.now() + 10 * DAY_MS });
  const to = Date.now() + (options.expired === true ? -1 : 1) * DAY_MS;
  const contextOf = async (name: string) => {
    const shown = await hostCertificate(options.certifies?.(name) ?? name, { name: NAME, key }, { from, to });
    return tls.createSecureContext({
      key: shown.key.export({ type: "pkcs8", format: "pem" }),
      cert: shown.certificate,
    });
  };
  const standard = await hostCertificate("203.0.113.7", { name: NAME, key }, { from, to });
  const server = createServer(
    {
      // Shown to who names no host.
      key: standard.key.export({ type: "pkcs8", format: "pem" }),
      cert: standard.certificate,
      ALPNProtocols: ["h2", "http/1.1"],
      SNICallback: (name, done) => void contextOf(name).then((context) => done(null, context), done),
    },
    serve,
  );
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    server,
    root,
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export interface TestVariable {
  value: string;
  hosts?: string[] | null;
  header?: boolean;
  body?: boolean;
  /** Hosts that are sealed with it; the same when left out. */
  sealedHosts?: string[] | null;
}

export interface InterceptedSession {
  broker: TestBroker;
  keychain: FakeKeychain;
  grants: VariableGrant[];
  /** Placeholder of the first variable. */
  placeholder: string;
  /** PEM that sandboxes trust. */
  ca: string;
  /** The same install after a restart of its broker, which has read nothing of the keychain yet. */
  relaunch(): Promise<InterceptedSession>;
  setGrants(variables: VariableGrant[]): Promise<Response>;
  setPolicy(policy: unknown): Promise<Response>;
  /** A TLS connection to the host through the broker, as a program in a sandbox makes it. */
  connect(host?: string, options?: tls.ConnectionOptions): Promise<tls.TLSSocket>;
  /** Sends `request` over a connection of its own and resolves with all that comes back until its end. */
  send(request: string | Buffer, host?: string): Promise<string>;
}

const folders: string[] = [];

export async function removeFolders(): Promise<void> {
  await Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true })));
}

export const HOST = "api.example.com";

/** A session with these variables, each a credential for {@link HOST} unless it says otherwise. */
export async function interceptedSession(
  net: TlsInternet,
  variables: TestVariable[],
  options: EgressOptions & { hosts?: string[] } = {},
): Promise<InterceptedSession> {
  const dir = await mkdtemp(join(tmpdir(), "longhaul-intercept-"));
  folders.push(dir);
  const keychain = fakeKeychain();
  const launch = () =>
    testBroker(
      {},
      {
        keys: { keychain: keychainKeys(keychain), passphrase: null },
        egress: {
          resolve: () => Promise.resolve(["203.0.113.7"]),
          target: () => ({ host: "127.0.0.1", port: net.port }),
          roots: [net.root],
          ...options,
        },
      },
      dir,
    );
  const broker = await launch();
  const grants: VariableGrant[] = [];
  for (const [index, variable] of variables.entries()) grants.push(await sealed(broker, variable, `TOKEN_${index}`));
  const { certificate } = (await (await broker.control("GET", "ca")).json()) as { certificate: string };
  const policy = { mode: "limited", allowed_hosts: options.hosts ?? [HOST, "*.other.test"], intercept: true };
  const sessionOf = async (running: TestBroker): Promise<InterceptedSession> => {
    const session = sessionAt(running, keychain, grants, certificate, async () => sessionOf(await launch()));
    await session.setGrants(grants);
    await session.setPolicy(policy);
    return session;
  };
  return sessionOf(broker);
}

function sessionAt(
  broker: TestBroker,
  keychain: FakeKeychain,
  grants: VariableGrant[],
  ca: string,
  relaunch: () => Promise<InterceptedSession>,
): InterceptedSession {
  const session_id = broker.sessionId;
  const connect = async (host = HOST, more: tls.ConnectionOptions = {}) => {
    const { status, socket, headers } = await rawConnect(broker.url, broker.token, `${host}:443`);
    if (status !== 200) throw new Error(`CONNECT was refused: ${status} ${headers["longhaul-refused"]}`);
    const secured = tls.connect({ socket, servername: host, ca, ...more });
    await new Promise<void>((resolve, reject) => {
      secured.once("secureConnect", resolve);
      secured.once("error", reject);
      secured.once("close", () => reject(new Error("closed in the handshake")));
    });
    return secured;
  };
  return {
    broker,
    keychain,
    grants,
    placeholder: grants[0]?.placeholder ?? "",
    ca,
    relaunch,
    setGrants: (variables) => {
      const all = { mcp_servers: [], repositories: [], variables };
      return broker.control("POST", "grants", { session_id, grants: all });
    },
    setPolicy: (policy) => broker.control("POST", "egress", { session_id, policy }),
    connect,
    send: async (request, host) => {
      const socket = await connect(host);
      socket.write(request);
      return readText(socket);
    },
  };
}

/** Seals a variable's value in the broker. */
async function sealed(broker: TestBroker, variable: TestVariable, name: string): Promise<VariableGrant> {
  const { value, hosts = [HOST], sealedHosts = hosts, header = true, body = true } = variable;
  const credential = { vault_id: newId("vault"), credential_id: newId("credential"), secret_id: hex(16) };
  const networking = sealedHosts === null ? { type: "unrestricted" } : { type: "limited", allowed_hosts: sealedHosts };
  const injection_location = { header: true, body: true };
  const auth = { type: "environment_variable", secret_name: name, networking, injection_location };
  await broker.control("PUT", "credentials", { ...credential, from: null, auth, secrets: { secret_value: value } });
  return { credential: { ...credential, issuer: name }, name, placeholder: `lhv_${hex(16)}`, hosts, header, body };
}

const hex = (bytes: number): string => randomBytes(bytes).toString("hex");

/** All that comes, a character per byte, until the connection ends in whatever way. */
export async function readText(socket: tls.TLSSocket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  await new Promise((resolve) => {
    socket.once("end", resolve);
    socket.once("close", resolve);
  });
  socket.destroy();
  return Buffer.concat(chunks).toString("latin1");
}
