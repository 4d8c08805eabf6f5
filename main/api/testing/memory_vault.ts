/** A broker's vault that keeps ids and no values, for tests of everything but credentials. A test plays the person's browser. */
import type { CredentialVault, SecretRef } from "../../contract/vaults/broker_api.ts";
import type { OAuthBegin, OAuthFlow } from "../../contract/vaults/oauth.ts";

export interface MemoryVault extends CredentialVault {
  /** Every sign-in that was begun and is known, by its id. */
  readonly begun: Map<string, OAuthBegin>;
  /** What happens in the browser: the tokens are sealed, or the server refuses. */
  signedIn(flowId: string, scopes?: string[]): void;
  refuse(flowId: string, message: string): void;
  /** Forgets every sign-in, as a restarted broker does. */
  restart(): void;
}

export function memoryVault(): MemoryVault {
  let sealed: SecretRef[] = [];
  const begun = new Map<string, OAuthBegin>();
  const flows = new Map<string, OAuthFlow>();
  const listeners = new Set<() => void>();
  const tell = (): void => {
    for (const listener of [...listeners]) listener();
  };
  const turn = (id: string, make: (flow: OAuthFlow, begin: OAuthBegin) => OAuthFlow): void => {
    const flow = flows.get(id);
    const begin = begun.get(id);
    if (flow === undefined || begin === undefined) throw new Error(`no sign-in ${id} waits`);
    flows.set(id, make(flow, begin));
    tell();
  };
  return {
    begun,
    seal: async ({ vault_id, credential_id, secret_id }) => void sealed.push({ vault_id, credential_id, secret_id }),
    sealed: async () => sealed,
    purge: async (ids) => {
      sealed = sealed.filter(({ secret_id }) => !ids.includes(secret_id));
    },
    validate: async () => ({ status: "valid", mcp_probe: null, refresh: null }),
    beginOAuth: async (begin) => {
      const { flow_id } = begin;
      begun.set(flow_id, begin);
      const authorization_url = `https://auth.example.com/authorize?state=${flow_id}`;
      const flow = { flow_id, authorization_url, authorization_server: "auth.example.com", state: "waiting" } as const;
      flows.set(flow_id, flow);
      return flow;
    },
    oauthFlow: async (id, waitMs) => {
      if (flows.get(id)?.state !== "waiting" || waitMs === 0) return flows.get(id) ?? null;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        timer.unref();
        listeners.add(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      return flows.get(id) ?? null;
    },
    cancelOAuth: async (id) => {
      flows.delete(id);
      tell();
    },
    revoke: async () => ({ state: "revoked", message: "auth.example.com took the tokens back." }),
    signedIn: (id, scopes) =>
      turn(id, (flow, { vault_id, credential_id, secret_id, mcp_server_url }) => {
        sealed.push({ vault_id, credential_id, secret_id });
        const token_endpoint = "https://auth.example.com/token";
        const refresh = { client_id: "c1", token_endpoint, token_endpoint_auth: { type: "none" as const } };
        const auth = { type: "mcp_oauth" as const, mcp_server_url, expires_at: null, refresh };
        return { ...flow, state: "done", auth, scopes: scopes ?? null };
      }),
    refuse: (id, message) => turn(id, (flow) => ({ ...flow, state: "failed", message })),
    restart: () => {
      flows.clear();
      tell();
    },
  };
}
