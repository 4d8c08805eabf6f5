/** What is said of connections, in words. */
import type { Connection, ConnectionState } from "../../main/contract/vaults/connections.ts";

/** Host and port of an address, as people name a server. */
export function hostOf(url: string): string {
  return URL.parse(url)?.host ?? url;
}

/** What a connection is called: its name, or what it is for. */
export function nameOf({ display_name, auth }: Pick<Connection, "display_name" | "auth">): string {
  if (display_name !== null && display_name !== "") return display_name;
  return auth.type === "environment_variable" ? auth.secret_name : hostOf(auth.mcp_server_url);
}

export const STATE_WORDS: Record<ConnectionState, string> = {
  connected: "connected",
  sign_in_needed: "sign-in needed",
  refused: "refused",
};

/** The address or the name that it is found by. */
export function targetOf({ auth }: Pick<Connection, "auth">): string {
  return auth.type === "environment_variable" ? auth.secret_name : auth.mcp_server_url;
}

/** How it authenticates and what it reaches, in short phrases. */
export function factsOf(connection: Pick<Connection, "auth" | "authorization_server" | "scopes">): string[] {
  const { auth, authorization_server, scopes } = connection;
  switch (auth.type) {
    case "mcp_oauth":
      return [
        authorization_server === null ? "tokens" : `signed in at ${authorization_server}`,
        auth.refresh == null ? "not renewed by itself" : "renewed by itself",
        ...(scopes === null ? [] : [scopes.length === 1 ? `scope ${scopes[0]}` : `scopes ${scopes.join(", ")}`]),
      ];
    case "static_bearer":
      return ["bearer token"];
    case "environment_variable": {
      const { header, body } = auth.injection_location;
      const where = header && body ? "headers and bodies" : header ? "headers" : "bodies";
      return [`variable in the sandbox, put into ${where} ${reach(auth.networking)}`];
    }
  }
}

type Networking = Extract<Connection["auth"], { type: "environment_variable" }>["networking"];

function reach(networking: Networking): string {
  if (networking.type === "unrestricted") return "on the way to any host";
  const { allowed_hosts } = networking;
  const more = allowed_hosts.length - 3;
  return `on the way to ${allowed_hosts.slice(0, 3).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** What happens to sessions when a connection goes. */
export function removalWords(connection: Pick<Connection, "auth" | "authorization_server">): string {
  const { auth, authorization_server } = connection;
  if (auth.type === "environment_variable") {
    return `Sandboxes that run keep the placeholder of ${auth.secret_name}, and nothing is put in its place any more: requests that need the value are refused by whoever gets them.`;
  }
  const host = hostOf(auth.mcp_server_url);
  const calls = `Sessions that run lose it at once: their next call to ${host} fails and says so, and the agent goes on without.`;
  if (auth.type === "static_bearer") {
    return `${calls} Longhaul's copy of the token is deleted; the token itself stays valid until you delete it at ${host}.`;
  }
  return `${calls} ${authorization_server ?? host} is asked to take the tokens back, and Longhaul's copy is deleted either way.`;
}
