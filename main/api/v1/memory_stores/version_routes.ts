/** `/v1/memory_stores/{id}/memory_versions`. */
import type { BetaManagedAgentsMemoryVersion } from "@anthropic-ai/sdk/resources/beta/memory-stores/memory-versions";
import { memoryVersionRedact } from "../../../contract/memory/schemas.ts";
import type { VersionRow } from "../../../session/memories/tables.ts";
import { MemoryVersions } from "../../../session/memories/versions.ts";
import { readOptionalBody } from "../../http/body.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { Query } from "../../http/query.ts";
import { actorOf } from "./actor.ts";
import { viewLimit, viewOf } from "./view.ts";

const OPERATIONS = ["created", "modified", "deleted"] as const;

export function mountMemoryVersions(api: Api, deps: Deps): void {
  const versions = new MemoryVersions(deps.records, deps.now);
  const ids = (c: ApiContext): [string, string] => [param(c, "id"), param(c, "version")];

  api.get("/v1/memory_stores/:id/memory_versions", async (c) => {
    const query = new Query(c);
    const view = viewOf(query, "basic");
    const limit = viewLimit(query, view);
    const page = query.text("page");
    const filter = {
      memory_id: query.text("memory_id"),
      operation: query.choice("operation", OPERATIONS),
      api_key_id: query.text("api_key_id"),
      session_id: query.text("session_id"),
      service_account_id: query.text("service_account_id"),
    };
    const rows = await versions.list(param(c, "id"), filter, {
      limit: limit + 1,
      ...query.createdRange(),
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    const { data, next_page } = pageOf(rows, limit);
    const shown = [];
    for (const row of data) shown.push(apiVersion(row, view === "full" ? await versions.content(row) : null));
    return c.json({ data: shown, next_page });
  });

  api.get("/v1/memory_stores/:id/memory_versions/:version", async (c) => {
    const view = viewOf(new Query(c), "full");
    const version = await versions.get(...ids(c));
    return c.json(apiVersion(version, view === "full" ? await versions.content(version) : null));
  });

  api.post("/v1/memory_stores/:id/memory_versions/:version/redact", async (c) => {
    await readOptionalBody(c, memoryVersionRedact);
    return c.json(apiVersion(await versions.redact(...ids(c), actorOf(c)), null));
  });
}

/** The contract's object has `redacted_by` only once somebody did. */
function apiVersion({ redacted_by, ...version }: VersionRow, content: string | null): BetaManagedAgentsMemoryVersion {
  return { ...version, ...(redacted_by === null ? {} : { redacted_by }), content };
}
