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
import type { BrokerOptions } from "../../broker.ts";
import { type FakeKeychain, fakeKeychain, keychainKeys } from "../../sealed/testing/keys.ts";
import { type TestBroker, testBroker } from "../../testing/broker_client.ts";
import { authorityCertificate, hostCertificate, newKey } from "../intercept/certificates.ts";
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
  options: EgressOptions & BrokerOptions & { hosts?: string[]; dir?: string } = {},
): Promise<InterceptedSession> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), "longhaul-intercept-")));
  folders.push(dir);
  const keychain = fakeKeychain();
  const broker = await testBroker(
    {},
    {
      keys: { keychain: keychainKeys(keychain), passphrase: null },
      egress: {
        resolve: () => Promise.resolve(["203.0.113.7"]),
        target: () => ({ host: "127.0.0.1", port: net.port }),
        roots: [net.root],
        ...options,
      },
      ...options,
    },
    dir,
  );
  const grants: VariableGrant[] = [];
  for (const [index, variable] of variables.entries()) {
    const hosts = variable.hosts === undefined ? [HOST] : variable.hosts;
    const sealed = variable.sealedHosts === undefined ? hosts : variable.sealedHosts;
    const { header = true, body = true, value } = variable;
    const name = `TOKEN_${index}`;
    const credential = { vault_id: newId("vault"), credential_id: newId("credential"), secret_id: hex(16) };
    const networking = sealed === null ? { type: "unrestricted" } : { type: "limited", allowed_hosts: sealed };
    const auth = {
      type: "environment_variable",
      secret_name: name,
      networking,
      injection_location: { header: true, body: true },
    };
    await broker.control("PUT", "credentials", { ...credential, from: null, auth, secrets: { secret_value: value } });
    const placeholder = `lhv_${hex(16)}`;
    grants.push({ credential: { ...credential, issuer: name }, name, placeholder, hosts, header, body });
  }
  const session: InterceptedSession = {
    broker,
    keychain,
    grants,
    placeholder: grants[0]?.placeholder ?? "",
    ca: ((await (await broker.control("GET", "ca")).json()) as { certificate: string }).certificate,
    setGrants: (more) => {
      const all = { mcp_servers: [], repositories: [], variables: more };
      return broker.control("POST", "grants", { session_id: broker.sessionId, grants: all });
    },
    setPolicy: (policy) => broker.control("POST", "egress", { session_id: broker.sessionId, policy }),
    connect: async (host = HOST, more = {}) => {
      const { status, socket, headers } = await rawConnect(broker.url, broker.token, `${host}:443`);
      if (status !== 200) throw new Error(`CONNECT was refused: ${status} ${headers["longhaul-refused"]}`);
      const secured = tls.connect({ socket, servername: host, ca: session.ca, ...more });
      await new Promise<void>((resolve, reject) => {
        secured.once("secureConnect", resolve);
        secured.once("error", reject);
        secured.once("close", () => reject(new Error("closed in the handshake")));
      });
      return secured;
    },
    send: async (request, host) => {
      const socket = await session.connect(host);
      socket.write(request);
      return readText(socket);
    },
  };
  await session.setGrants(grants);
  await session.setPolicy({ mode: "limited", allowed_hosts: options.hosts ?? [HOST, "*.other.test"], intercept: true });
  return session;
}

const hex = (bytes: number): string => randomBytes(bytes).toString("hex");

/** All that comes, a character per byte, until the connection ends in whatever way. */
export async function readText(socket: tls.TLSSocket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks).toString("latin1");
}
