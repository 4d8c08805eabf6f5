/** What is typed to add a connection, without the secret values: those are read from their fields once, when they are sent. */
import type { Problem } from "../api/problem.ts";

export type Kind = "mcp_oauth" | "static_bearer" | "environment_variable";

export interface Draft {
  kind: Kind;
  url: string;
  name: string;
  /** Id; "" for the default one. */
  vault: string;
  scopes: string;
  clientId: string;
  variable: string;
  reach: "limited" | "unrestricted";
  hosts: string;
  header: boolean;
  body: boolean;
}

export type DraftField = "url" | "name" | "vault" | "scopes" | "client" | "secret" | "variable" | "hosts" | "location";

export function newDraft(server: string | null, vault: string | null): Draft {
  return {
    kind: "mcp_oauth",
    url: server ?? "",
    name: "",
    vault: vault ?? "",
    scopes: "",
    clientId: "",
    variable: "",
    reach: "limited",
    hosts: "",
    header: true,
    body: true,
  };
}

/** Words of a text that is separated by spaces, commas or lines. */
export function wordsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}

/** What can be said before anything is sent; the engine looks at the rest. */
export function problemsOf(draft: Draft, secret: string): Partial<Record<DraftField, string>> {
  const problems: Partial<Record<DraftField, string>> = {};
  if (draft.kind === "environment_variable") {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(draft.variable.trim())) {
      problems.variable =
        "Name it as a program reads it: letters, digits and _, not a digit first, such as STRIPE_KEY.";
    }
    if (draft.reach === "limited" && wordsOf(draft.hosts).length === 0) {
      problems.hosts = "Name at least one host that the value may go to, such as api.stripe.com.";
    }
    if (!draft.header && !draft.body) problems.location = "Choose at least one: else the value could go nowhere.";
  } else if (!/^https?:$/.test(URL.parse(draft.url.trim())?.protocol ?? "")) {
    problems.url = "Give the whole address of the server, such as https://mcp.example.com/mcp.";
  }
  if (draft.kind !== "mcp_oauth" && secret === "") {
    problems.secret = draft.kind === "static_bearer" ? "Paste the token." : "Paste the value.";
  }
  if (draft.kind === "mcp_oauth" && secret !== "" && draft.clientId.trim() === "") {
    problems.client = "A client secret belongs to a client: give its ID too.";
  }
  return problems;
}

const FIELDS: readonly [RegExp, DraftField][] = [
  [/`(token|secret_value)\b/, "secret"],
  [/`client\b/, "client"],
  [/`secret_name\b|environment variable name/, "variable"],
  [/`networking\b/, "hosts"],
  [/`injection_location\b/, "location"],
  [/`scopes\b/, "scopes"],
  [/`name\b/, "name"],
  [/`vault_id\b|\bvault\b.*(archived|not found|holds at most)/i, "vault"],
  [/`mcp_server_url\b/, "url"],
];

/** The field that the engine's message is about, if it names one. */
export function fieldOf(problem: Problem): DraftField | null {
  if (problem.kind !== "rejected" && problem.kind !== "missing") return null;
  return FIELDS.find(([pattern]) => pattern.test(problem.message))?.[1] ?? null;
}
