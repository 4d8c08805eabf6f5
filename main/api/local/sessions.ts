/** `/longhaul/v1/sessions`: what the timeline and the command line need beyond the contract. */

import { z } from "zod";
import { invalid, notFound } from "../../contract/errors.ts";
import { wakeBody } from "../../contract/schemas/local.ts";
import { unfinishedWork } from "../../contract/work.ts";
import type { SessionRecord } from "../../session/ledger.ts";
import { readOptionalBody } from "../http/body.ts";
import { type Api, type Deps, param } from "../http/context.ts";
import { decodeCursor, encodeCursor } from "../http/cursor.ts";
import { pageLimit, Query } from "../http/query.ts";
import { existingSession, isOver } from "../v1/sessions/session.ts";
import { mountChanges } from "./changes.ts";
import { mountOutputs } from "./outputs.ts";
import { mountPushes } from "./pushes/pushes.ts";
import { summaryOf } from "./summary.ts";

const MAX_SEQ = 999_999_999_999;
/** Sessions read at a time while the whole list is put in order of activity. */
const BATCH = 500;
const cursorSchema = z.strictObject({ updated_at: z.iso.datetime(), id: z.string().min(1).max(128) });

export function mountLocalSessions(api: Api, deps: Deps): void {
  api.get("/longhaul/v1/sessions", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query, 100);
    const page = query.text("page");
    const after = page === undefined ? null : decodeCursor(cursorSchema, page);
    const records = await allSessions(deps, query.flag("include_archived") ?? true);
    const rows = records
      .sort(newestActivityFirst)
      .filter((row) => after === null || newestActivityFirst(row, place(after)) > 0);
    const data = rows.slice(0, limit);
    const last = data.at(-1);
    const more = rows.length > limit && last !== undefined;
    return c.json({
      data: data.map((row) => summaryOf(deps, row)),
      next_page: more ? encodeCursor({ updated_at: last.fold.updated_at, id: last.id }) : null,
    });
  });

  api.get("/longhaul/v1/sessions/:id", async (c) =>
    c.json(summaryOf(deps, await existingSession(deps, param(c, "id")))),
  );

  api.post("/longhaul/v1/sessions/:id/wake", async (c) => {
    const id = param(c, "id");
    await readOptionalBody(c, wakeBody);
    await deps.serial.run(id, async () => {
      const record = await existingSession(deps, id);
      if (isOver(record.fold)) invalid(`Session ${id} has ended and cannot go on. Create a new session.`);
      if (needsResume(deps, record)) await deps.ledger.emitEvent(id, { type: "longhaul.resume_requested", by: "user" });
    });
    await deps.orchestrator.wake(id, "user");
    return c.json(summaryOf(deps, await existingSession(deps, id)));
  });

  api.get("/longhaul/v1/sessions/:id/events", async (c) => {
    const query = new Query(c);
    const { id } = await existingSession(deps, param(c, "id"));
    const limit = pageLimit(query, 100);
    const after_seq = query.integer("after", 0, MAX_SEQ) ?? 0;
    const hydrate = query.flag("hydrate") ?? true;
    const data = [];
    for await (const stored of deps.ledger.getEvents(id, { after_seq, limit: limit + 1, hydrate })) data.push(stored);
    const more = data.length > limit;
    const shown = data.slice(0, limit);
    return c.json({ data: shown, next_after: more ? (shown.at(-1)?.seq ?? null) : null });
  });

  api.get("/longhaul/v1/sessions/:id/requests/:span", async (c) => {
    const { id } = await existingSession(deps, param(c, "id"));
    const span = param(c, "span");
    return c.json((await deps.requestContext(id, span)) ?? notFound("Model request", span));
  });

  mountChanges(api, deps);
  mountOutputs(api, deps);
  mountPushes(api, deps);
}

/** A turn that died, waits for a retry, or was cut off too often goes on only when somebody asks for it. */
function needsResume(deps: Deps, { id, fold }: SessionRecord): boolean {
  if (deps.orchestrator.activity(id) !== null) return false;
  const work = unfinishedWork(fold, deps.now());
  return work === "stopped" || work === "later" || (work === "now" && fold.cut_offs > 0);
}

/** Every session, the newest first. */
export async function allSessions(deps: Deps, include_archived: boolean): Promise<SessionRecord[]> {
  const all: SessionRecord[] = [];
  for (;;) {
    const last = all.at(-1);
    const from = last === undefined ? {} : { from: { created_at: last.fold.created_at, id: last.id, backward: false } };
    const rows = await deps.ledger.listSessions({ order: "desc", include_archived, limit: BATCH, ...from });
    all.push(...rows);
    if (rows.length < BATCH) return all;
  }
}

type Row = { id: string; fold: Pick<SessionRecord["fold"], "updated_at"> };

function place(cursor: { updated_at: string; id: string }): Row {
  return { id: cursor.id, fold: { updated_at: cursor.updated_at } };
}

function newestActivityFirst(a: Row, b: Row): number {
  if (a.fold.updated_at !== b.fold.updated_at) return a.fold.updated_at > b.fold.updated_at ? -1 : 1;
  if (a.id === b.id) return 0;
  return a.id > b.id ? -1 : 1;
}
