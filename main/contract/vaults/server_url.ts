/** By what a credential is found: the address of its MCP server, or the name of its environment variable. */
import type { CredentialAuth } from "./auth.ts";

/**
 * The form in which addresses of MCP servers are compared: scheme and host in lower case, without a default port, a
 * fragment or slashes at the end. Path, query, subdomain and any other port count.
 * @param url an http or https URL
 */
export function normalisedServerUrl(url: string): string {
  const { protocol, host, pathname, search } = new URL(url);
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}${search}`;
}

/** What is unique among the active credentials of a vault. */
export function credentialKey(auth: CredentialAuth): string {
  return auth.type === "environment_variable"
    ? `env:${auth.secret_name}`
    : `url:${normalisedServerUrl(auth.mcp_server_url)}`;
}

/** What a sealed value is bound to: a value that is put under another server or name cannot be opened. */
export function issuerOf(auth: CredentialAuth): string {
  return auth.type === "environment_variable" ? auth.secret_name : auth.mcp_server_url;
}
