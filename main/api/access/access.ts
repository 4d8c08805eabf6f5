/** Applies the access table: each row is a middleware on its own route, and what no row has granted is refused. */
import type { MiddlewareHandler } from "hono";
import { ApiError } from "../../contract/errors.ts";
import type { SessionFold } from "../../contract/fold.ts";
import type { Caller } from "../../workers/port.ts";
import { type Api, type ApiContext, type ApiEnv, type Deps, param } from "../http/context.ts";
import { ACCESS, type AccessRow, type CallerKind, WORKER_EVENTS } from "./table.ts";

type Worker = Exclude<Caller, { kind: "api_key" }>;

/** Put between {@link requireCredential} and the routes. */
export function mountAccess(api: Api, deps: Deps): void {
  for (const row of ACCESS) api.on(row.method, row.path, applyRow(deps, row));
  for (const base of ["/v1/*", "/longhaul/*"]) {
    api.use(base, async (c, next) => {
      const caller = c.get("caller");
      if (caller.kind !== "api_key" && c.get("accessRow") === undefined) refuse(NAMES[caller.kind], c, ["api_key"]);
      await next();
    });
  }
}

function applyRow(deps: Deps, row: AccessRow): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    if (c.get("accessRow") === undefined) {
      c.set("accessRow", row);
      const caller = c.get("caller");
      if (!row.allows.includes(caller.kind)) refuse(NAMES[caller.kind], c, row.allows);
      if (caller.kind !== "api_key") await checkOwn(deps, c, row, caller);
    }
    await next();
  };
}

const NAMES: Record<CallerKind, string> = {
  api_key: "An API key",
  environment_key: "An environment key",
  item_token: "The token of a work item",
};

function refuse(what: string, c: ApiContext, allowed: readonly CallerKind[]): never {
  const others = allowed.map((kind) => NAMES[kind].replace(/^An? |^The /, "")).join(" or ");
  throw new ApiError(
    "permission_error",
    `${what} cannot be used for ${c.req.method} ${c.req.path}. This endpoint takes: ${others}.`,
  );
}

function foreign(what: string): never {
  throw new ApiError("permission_error", `This credential does not reach ${what}: it belongs to something else.`);
}

/** Everything that the path names must be the caller's own. */
async function checkOwn(deps: Deps, c: ApiContext, row: AccessRow, caller: Worker): Promise<void> {
  if (caller.kind === "item_token") await checkItem(deps, row, caller);
  const names = new Set(row.path.split("/").filter((part) => part.startsWith(":")));
  if (names.has(":environment") && param(c, "environment") !== caller.environment_id) foreign("this environment");
  if (names.has(":work") && caller.kind === "item_token" && param(c, "work") !== caller.work_id) {
    foreign("this work item");
  }
  if (names.has(":session")) await checkSession(deps, param(c, "session"), caller);
  if (caller.kind !== "item_token") return;
  if (names.has(":skill")) checkSkill((await ownSession(deps, caller)).agent, param(c, "skill"));
  if (names.has(":store")) checkStore(await ownSession(deps, caller), param(c, "store"), row);
}

/** A token lives as long as its item; afterwards it is only told that the item has stopped. */
async function checkItem(deps: Deps, row: AccessRow, caller: Extract<Caller, { kind: "item_token" }>): Promise<void> {
  const item = await deps.work.get(caller.environment_id, caller.work_id);
  if (item !== null && (item.state !== "stopped" || row.after_stop === true)) return;
  throw new ApiError(
    "authentication_error",
    `Work item ${caller.work_id} has stopped, and its token with it. Poll for the next item.`,
  );
}

/**
 * Asks whether whoever opened a stream may go on reading it; `over`: only the session itself has ended, of which a worker
 * is to hear. Null for the API key, which holds as long as this server.
 */
export function standingOf(deps: Deps, c: ApiContext): (() => Promise<"granted" | "over" | "revoked">) | null {
  const caller = c.get("caller");
  if (caller.kind === "api_key") return null;
  if (caller.kind === "environment_key") {
    return async () => {
      const keys = await deps.credentials.listKeys(caller.environment_id);
      return keys.some(({ id }) => id === caller.key_id) ? "granted" : "revoked";
    };
  }
  return async () => {
    const item = await deps.work.get(caller.environment_id, caller.work_id);
    if (item !== null && item.state !== "stopped") return "granted";
    return item === null || item.stop_cause === "session_over" ? "over" : "revoked";
  };
}

async function checkSession(deps: Deps, sessionId: string, caller: Worker): Promise<void> {
  if (caller.kind === "item_token") {
    if (sessionId !== caller.session_id) foreign("this session");
    return;
  }
  const session = await deps.ledger.getSession(sessionId);
  if (session === null || session.fold.environment.id !== caller.environment_id) foreign("this session");
}

async function ownSession(deps: Deps, caller: Extract<Caller, { kind: "item_token" }>): Promise<SessionFold> {
  return (await deps.ledger.getSession(caller.session_id))?.fold ?? foreign("a session that was deleted");
}

function checkSkill(agent: SessionFold["agent"], skillId: string): void {
  if (!agent.skills.some((skill) => skill.skill_id === skillId)) foreign("a skill that its session does not have");
}

function checkStore(session: SessionFold, storeId: string, row: AccessRow): void {
  const store = session.resources.find(
    (resource) => resource.type === "memory_store" && resource.memory_store_id === storeId,
  );
  if (store === undefined || store.type !== "memory_store") foreign("a memory store that its session does not have");
  if (row.writes_memory === true && store.access === "read_only") {
    throw new ApiError(
      "permission_error",
      `Memory store ${storeId} is attached read-only: it can be read here, not changed.`,
    );
  }
}

/** Workers answer calls; they do not speak for the person. @throws ApiError 403 */
export function refuseForWorkers(c: ApiContext, types: readonly string[]): void {
  if (c.get("caller").kind === "api_key") return;
  const other = types.find((type) => !WORKER_EVENTS.some((allowed) => allowed === type));
  if (other === undefined) return;
  throw new ApiError(
    "permission_error",
    `A worker's credential cannot send ${other}; it can send ${WORKER_EVENTS.join(" and ")}.`,
  );
}
