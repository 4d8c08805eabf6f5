/** Made-up connections in every state, with sign-ins that never end: what the screen of connections is drawn from. */
import { randomBytes } from "node:crypto";
import type { Connection, ConnectionList, SignIn } from "../../main/contract/vaults/connections.ts";

const VAULT = { id: "vlt_fake1", display_name: "Connections" };
const WORK = { id: "vlt_fake2", display_name: "Work" };
const MINUTE = 60_000;

const ago = (minutes: number): string => new Date(Date.now() - minutes * MINUTE).toISOString();

function connection(id: string, auth: Connection["auth"], more: Partial<Connection> = {}): Connection {
  return {
    id: `vcrd_${id}`,
    type: "connection",
    vault: VAULT,
    display_name: null,
    auth,
    state: "connected",
    problem: null,
    scopes: null,
    authorization_server: null,
    client: null,
    created_at: ago(9_000),
    updated_at: ago(9_000),
    checked: null,
    last_use: null,
    ...more,
  };
}

function oauth(url: string): Connection["auth"] {
  const token_endpoint_auth = { type: "none" } as const;
  const refresh = { client_id: "c1", token_endpoint: "https://auth.example/token", token_endpoint_auth };
  return { type: "mcp_oauth", mcp_server_url: url, expires_at: null, refresh };
}

const use = (session_id: string, session_title: string | null, minutes: number, host: string) => ({
  at: ago(minutes),
  session_id,
  session_title,
  route: "mcp" as const,
  host,
  decision: "allowed" as const,
  reason: "tools/call",
});

function stories(): Connection[] {
  const docs = use("sesn_gone", null, 190, "mcp.docs.example.com");
  return [
    connection("tracker", oauth("https://mcp.tracker.example/mcp"), {
      display_name: "Issue tracker",
      authorization_server: "auth.tracker.example",
      scopes: ["read", "issues:write", "comments:write"],
      checked: { at: ago(40), status: "valid", summary: "The server accepts it." },
      last_use: use("sesn_000000busy", "Find what makes the suite slow", 3, "mcp.tracker.example"),
    }),
    connection("docs", oauth("https://mcp.docs.example.com/"), {
      display_name: "Team documents",
      authorization_server: "login.docs.example.com",
      state: "sign_in_needed",
      problem: "login.docs.example.com ended the access (invalid_grant). Sign in again.",
      scopes: ["documents.read"],
      last_use: { ...docs, decision: "refused", reason: "login.docs.example.com ended the access (invalid_grant)." },
    }),
    connection(
      "stripe",
      {
        type: "environment_variable",
        secret_name: "STRIPE_KEY",
        networking: { type: "limited", allowed_hosts: ["api.stripe.com", "*.stripe.network"] },
        injection_location: { header: true, body: false },
      },
      { last_use: { ...use("sesn_000000left", "Measure the cold start", 1500, "api.stripe.com"), route: "egress" } },
    ),
    connection(
      "logs",
      { type: "static_bearer", mcp_server_url: "https://logs.internal.example.org:8443/very/long/path/to/the/mcp" },
      {
        vault: WORK,
        display_name: "Log search of the whole platform, production and staging, with a name that does not end",
        state: "refused",
        problem: "logs.internal.example.org:8443 refuses the token (status 401). Replace it.",
        last_use: {
          ...use("sesn_000000busy", "Find what makes the suite slow", 12, "logs.internal.example.org:8443"),
          decision: "refused",
          reason: "logs.internal.example.org:8443 refuses the token (status 401). Replace it.",
        },
      },
    ),
  ];
}

export class FakeConnections {
  #list: Connection[];
  readonly #signIns: SignIn[] = [];

  constructor(filled: boolean) {
    this.#list = filled ? stories() : [];
  }

  vaults(): Record<string, unknown>[] {
    const all = [VAULT, WORK].filter(({ id }) => this.#list.some(({ vault }) => vault.id === id));
    const metadata = (id: string) => (id === VAULT.id ? { longhaul_default: "connections" } : {});
    return all.map((vault) => ({ ...vault, type: "vault", archived_at: null, metadata: metadata(vault.id) }));
  }

  /** Answers a request below `/longhaul/v1/connections`; null when there is no such thing. */
  answer(method: string, path: string, body: Record<string, unknown>): unknown {
    const [, first = "", second = ""] = path.split("/");
    if (first === "" && method === "GET") {
      return { data: this.#list, sign_ins: this.#signIns } satisfies ConnectionList;
    }
    if (first === "") return this.#begin(String(body["mcp_server_url"]), null);
    if (first === "sign_ins") return this.#signIn(method, second.split("?")[0] ?? "");
    const known = this.#list.find(({ id }) => id === first);
    if (known === undefined) return null;
    if (method === "DELETE") {
      this.#list = this.#list.filter(({ id }) => id !== first);
      const message = "auth.tracker.example took the tokens back.";
      return { id: first, type: "connection_removed", revocation: { state: "revoked", message } };
    }
    if (second === "sign_in" && known.auth.type === "mcp_oauth") return this.#begin(known.auth.mcp_server_url, known);
    if (method === "GET")
      return { ...known, sessions: [{ id: "sesn_000000busy", title: "Find what makes the suite slow" }] };
    return known;
  }

  #begin(url: string, renewed: Connection | null): SignIn {
    const id = randomBytes(16).toString("hex");
    const failed = url.includes("refuses");
    const signIn: SignIn = {
      id,
      type: "connection_sign_in",
      state: failed ? "failed" : "waiting",
      mcp_server_url: url,
      vault_id: VAULT.id,
      connection_id: renewed?.id ?? null,
      authorization_url: failed ? null : `https://auth.example.com/authorize?state=${id}`,
      authorization_server: "auth.example.com",
      message: failed
        ? "auth.example.com answered access_denied: you, or a rule there, refused it. Nothing was stored. Sign in again when you are allowed to."
        : null,
      started_at: new Date().toISOString(),
    };
    this.#signIns.unshift(signIn);
    return signIn;
  }

  /** A person who never finishes: the wait is answered after a while, as it was. */
  async #signIn(method: string, id: string): Promise<unknown> {
    const at = this.#signIns.findIndex((known) => known.id === id);
    if (at < 0) return null;
    if (method === "DELETE") return this.#signIns.splice(at, 1)[0];
    await new Promise((resolve) => setTimeout(resolve, 2000));
    return this.#signIns.find((known) => known.id === id) ?? null;
  }
}
