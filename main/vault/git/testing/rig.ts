/** A real broker with sealed tokens, a git server, and git clients that reach the one through the other. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "../../../contract/ids.ts";
import type { RepositoryGrant } from "../../../contract/vaults/grants.ts";
import { repositoryGrant, repositoryRoute } from "../../../contract/vaults/repositories.ts";
import type { BrokerOptions } from "../../broker.ts";
import { type FakeKeychain, fakeKeychain, keychainKeys } from "../../sealed/testing/keys.ts";
import { type TestBroker, testBroker } from "../../testing/broker_client.ts";
import { CLEAN_ENV } from "./git_server.ts";

export interface Ran {
  code: number;
  /** Both outputs. */
  text: string;
}

export interface GitRig {
  broker: TestBroker;
  keychain: FakeKeychain;
  /** The session's branch, short and full. */
  branch: string;
  ref: string;
  folder: string;
  /** Seals a token and grants the repository; replaces what was granted. */
  grant(url: string, token: string | null, more?: Partial<RepositoryGrant>): Promise<RepositoryGrant>;
  register(grants: RepositoryGrant[]): Promise<void>;
  /** Address of a repository in the broker. */
  route(url: string): string;
  /** Runs git with the session's capability. @param cwd below the rig's folder */
  git(cwd: string, args: string[], env?: Record<string, string>): Promise<Ran>;
  /** A request to the route. */
  call(path: string, init?: RequestInit): Promise<Response>;
  /** Decisions that were noted. */
  audit(): Promise<string[]>;
  remove(): void;
}

/** @param before a rig whose sealed values and keychain this one takes over, as a restarted broker does */
export async function gitRig(options: BrokerOptions = {}, before?: GitRig): Promise<GitRig> {
  const folder = before?.folder ?? mkdtempSync(join(tmpdir(), "git-rig-"));
  mkdirSync(join(folder, "data"), { recursive: true });
  const keychain = before?.keychain ?? fakeKeychain();
  const keys = { keychain: keychainKeys(keychain), passphrase: null };
  const broker = await testBroker({}, { keys, ...options }, join(folder, "data"));
  const branch = `longhaul/${broker.sessionId}`;
  const extra = `Authorization: Bearer ${broker.token}`;
  const register: GitRig["register"] = async (repositories) => {
    const grants = { mcp_servers: [], variables: [], repositories };
    const answer = await broker.control("POST", "grants", { session_id: broker.sessionId, grants });
    if (answer.status !== 204) throw new Error(await answer.text());
  };
  return {
    broker,
    keychain,
    branch,
    ref: `refs/heads/${branch}`,
    folder,
    register,
    grant: async (url, token, more = {}) => {
      const resource = { id: newId("session_resource"), url };
      const ref = {
        vault_id: broker.sessionId,
        credential_id: resource.id,
        secret_id: randomBytes(16).toString("hex"),
        issuer: url,
      };
      if (token !== null) {
        const auth = { type: "static_bearer", mcp_server_url: url };
        const sealed = await broker.control("PUT", "credentials", {
          ...ref,
          issuer: undefined,
          from: null,
          auth,
          secrets: { token },
        });
        if (!sealed.ok) throw new Error(`${sealed.status} ${await sealed.text()}`);
      }
      const grant = { ...repositoryGrant(broker.sessionId, resource, token === null ? null : ref, "allow"), ...more };
      await register([grant]);
      return grant;
    },
    route: (url) => `${broker.url}/git/${repositoryRoute(url)}`,
    git: (cwd, args, env = {}) =>
      new Promise((resolve) => {
        const settings = ["-c", `http.extraHeader=${extra}`, "-c", "protocol.version=2"];
        execFile(
          "git",
          [...settings, ...args],
          { cwd: join(folder, cwd), env: { ...CLEAN_ENV, ...env } },
          (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), text: `${out}${err}` }),
        );
      }),
    call: (path, init = {}) =>
      fetch(`${broker.url}/git/${path}`, {
        ...init,
        headers: { authorization: `Bearer ${broker.token}`, ...(init.headers as Record<string, string>) },
      }),
    audit: async () => {
      const answer = await broker.control("GET", "audit?written=0");
      const { data } = (await answer.json()) as { data: { decision: string; reason: string }[] };
      return data.map(({ decision, reason }) => `${decision} ${reason}`);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
