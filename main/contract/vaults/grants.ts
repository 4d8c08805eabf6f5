/**
 * What one session may use of the credentials in the broker. The engine works it out from its records and registers it;
 * values never leave the broker. A restarted broker knows no grants and refuses until it is told again.
 */
import type { SecretRef } from "./broker_api.ts";

/** Names a sealed value and what it is bound to (`issuerOf`): the broker opens it for nothing else. */
export interface CredentialRef extends SecretRef {
  issuer: string;
}

export interface McpGrant {
  /** 32 hex digits made of the address: the server's name in the route `mcp/<id>`. */
  id: string;
  /** http or https, as the agent has it. */
  url: string;
  /** Null when no vault of the session has one: the server is called without. */
  credential: CredentialRef | null;
}

export interface RepositoryGrant {
  /** Id of the session's resource. */
  resource_id: string;
  /** As it was attached, for example `https://github.com/owner/name`. */
  url: string;
  /** Null for a repository that is read without a token; nothing is pushed to it then. */
  token: CredentialRef | null;
  /** The one ref that may be pushed to, for example `refs/heads/longhaul/sesn_…`. */
  branch: string;
  /** `ask`: each push waits for a person. */
  push: "allow" | "ask" | "deny";
}

export interface VariableGrant {
  credential: CredentialRef;
  /** Name of the variable in the sandbox. */
  name: string;
  /** What the sandbox holds in the value's place; the same for as long as the session lives. */
  placeholder: string;
  /** Host patterns whose requests get the value; null for every host. */
  hosts: string[] | null;
  header: boolean;
  body: boolean;
}

export interface SessionGrants {
  mcp_servers: McpGrant[];
  repositories: RepositoryGrant[];
  variables: VariableGrant[];
}

/** What the broker hands to the engine of uses of credentials. */
export interface AuditAnswer {
  /** Of the broker: a restarted one numbers its entries from 1 again. */
  start: string;
  data: AuditEntry[];
  /** Uses that were dropped since the last answer, because nobody fetched them. */
  lost: number;
}

export interface AuditEntry extends CredentialUse {
  /** Grows with each entry. */
  number: number;
  count: number;
}

/** One use of a credential, or a use that was refused; never holds a value. */
export interface CredentialUse {
  session_id: string;
  vault_id: string;
  credential_id: string;
  route: "mcp" | "git" | "egress";
  /** Host and, unless it is the scheme's own, port. */
  host: string;
  decision: "allowed" | "refused";
  /** What was asked for or why it was refused, in words. */
  reason: string;
}
