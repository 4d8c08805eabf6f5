/** Calls of the local API under `/longhaul/v1/connections`. Values go out with a request and are kept nowhere here. */
import type {
  Connection,
  ConnectionDetails,
  ConnectionList,
  ConnectionRemoved,
  SignIn,
} from "../../main/contract/vaults/connections.ts";
import { call, json } from "./local.ts";

/** A client that the person has registered at the authorization server. */
export interface ClientParams {
  client_id: string;
  client_secret?: string;
}

interface Place {
  name?: string;
  vault_id?: string;
}

export type SignInParams = Place & { mcp_server_url: string; scopes?: string[]; client?: ClientParams };

export type ValueParams = Place &
  (
    | { type: "static_bearer"; mcp_server_url: string; token: string }
    | {
        type: "environment_variable";
        secret_name: string;
        secret_value: string;
        networking: { type: "unrestricted" } | { type: "limited"; allowed_hosts: string[] };
        injection_location: { header: boolean; body: boolean };
      }
  );

const path = (...parts: string[]): string => ["connections", ...parts.map(encodeURIComponent)].join("/");

export function listConnections(): Promise<ConnectionList> {
  return json(path());
}

export function getConnection(id: string): Promise<ConnectionDetails> {
  return json(path(id));
}

export function addValue(params: ValueParams): Promise<Connection> {
  return json(path(), { method: "POST", body: params });
}

export function beginSignIn(params: SignInParams): Promise<SignIn> {
  return json(path(), { method: "POST", body: params });
}

export function signInAgain(id: string, client: ClientParams | null): Promise<SignIn> {
  return json(path(id, "sign_in"), { method: "POST", body: client === null ? {} : { client } });
}

/** How a sign-in stands; the engine waits up to 20 s for it to be over. */
export function awaitSignIn(id: string, signal: AbortSignal): Promise<SignIn> {
  return json(`${path("sign_ins", id)}?wait=20`, { signal });
}

/** Ends a sign-in that waits, or puts away one that failed. */
export async function cancelSignIn(id: string): Promise<void> {
  await call(path("sign_ins", id), { method: "DELETE" });
}

export function checkConnection(id: string): Promise<Connection> {
  return json(path(id, "validate"), { method: "POST", body: {} });
}

export function removeConnection(id: string): Promise<ConnectionRemoved> {
  return json(path(id), { method: "DELETE" });
}
