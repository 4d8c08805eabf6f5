/** Sign-ins with a store of their own, and a browser that follows redirects. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "../../../contract/ids.ts";
import type { CredentialRef } from "../../../contract/vaults/grants.ts";
import type { OAuthBegin, OAuthFlow } from "../../../contract/vaults/oauth.ts";
import { Credentials } from "../../credentials/credentials.ts";
import { brokerLog } from "../../log.ts";
import { Redactor } from "../../redact.ts";
import { openSealedStore } from "../../sealed/open_store.ts";
import { type FakeKeychain, fakeKeychain, keychainKeys } from "../../sealed/testing/keys.ts";
import { Challenges } from "../challenges.ts";
import { Registrations } from "../client/registrations.ts";
import { type SignInOptions, SignIns } from "../sign_ins.ts";

export interface SignInRig {
  credentials: Credentials;
  challenges: Challenges;
  signIns: SignIns;
  keychain: FakeKeychain;
  logs: string[];
  /** What the log, and through it the engine, masks. */
  redactor: Redactor;
  dir: string;
  /** A credential that does not exist yet. */
  wish(mcpServerUrl: string, over?: Partial<OAuthBegin>): OAuthBegin;
  refOf(begin: OAuthBegin): CredentialRef;
  /** Begins, plays the browser, and returns the outcome with the page that the person saw. */
  signIn(begin: OAuthBegin): Promise<{ flow: OAuthFlow; page: Response; text: string }>;
  outcome(flowId: string): Promise<OAuthFlow>;
}

const rigs: { signIns: SignIns; dir: string }[] = [];

export function stopRigs(): void {
  for (const { signIns, dir } of rigs.splice(0)) {
    signIns.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

export const hex = (): string => randomBytes(16).toString("hex");

/** @param from a rig that ended: its data directory and keychain are used again */
export function signInRig(options: SignInOptions = {}, from?: SignInRig): SignInRig {
  const dir = from?.dir ?? mkdtempSync(join(tmpdir(), "longhaul-oauth-"));
  const keychain = from?.keychain ?? fakeKeychain();
  const store = openSealedStore(dir, { keychain: keychainKeys(keychain), passphrase: null });
  const redactor = new Redactor([]);
  const logs: string[] = [];
  const credentials = new Credentials(store, redactor);
  const registrations = new Registrations(store, (secrets) => redactor.learn(secrets));
  const challenges = new Challenges();
  const log = brokerLog(redactor, (line) => logs.push(line));
  const signIns = new SignIns(credentials, registrations, challenges, log, { redirectPort: 0, ...options });
  rigs.push({ signIns, dir });
  const outcome = (flowId: string): Promise<OAuthFlow> => signIns.read(flowId, 10_000, new AbortController().signal);
  return {
    credentials,
    challenges,
    signIns,
    keychain,
    logs,
    redactor,
    dir,
    outcome,
    wish: (mcp_server_url, over) => ({
      vault_id: newId("vault"),
      credential_id: newId("credential"),
      secret_id: hex(),
      flow_id: hex(),
      mcp_server_url,
      scopes: null,
      client: null,
      ...over,
    }),
    refOf: ({ vault_id, credential_id, secret_id, mcp_server_url }) => ({
      vault_id,
      credential_id,
      secret_id,
      issuer: mcp_server_url,
    }),
    signIn: async (begin) => {
      const { authorization_url } = await signIns.begin(begin);
      const page = await fetch(authorization_url);
      const text = await page.text();
      return { flow: await outcome(begin.flow_id), page, text };
    },
  };
}
