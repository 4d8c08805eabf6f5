/** What every route shares: the typed application, the clock and the per-resource queue of changes. */
import type { Context, Hono } from "hono";
import type { Caller } from "../../workers/port.ts";
import type { AccessRow } from "../access/table.ts";
import type { ApiPorts } from "../ports.ts";
import type { CredentialValues } from "../v1/vaults/values/values.ts";
import type { Serial } from "./serial.ts";

export interface ApiEnv {
  Variables: {
    requestId: string;
    /** Who sent the request; set once its credential was accepted. */
    caller: Caller;
    /** Row of the access table that granted it; none for what only the API key may call. */
    accessRow: AccessRow | undefined;
  };
}

export type Api = Hono<ApiEnv>;
export type ApiContext = Context<ApiEnv>;

export interface Deps extends ApiPorts {
  now(): number;
  values: CredentialValues;
  /** Changes of one resource run one after the other: check-then-write needs no transaction across ports. */
  serial: Serial;
}

/** The path parameter; hono only types it when the path is a literal at the same place. */
export function param(c: ApiContext, name: string): string {
  return c.req.param(name) ?? "";
}

/** ISO 8601 with milliseconds. */
export function timestamp(deps: Pick<Deps, "now">): string {
  return new Date(deps.now()).toISOString();
}
