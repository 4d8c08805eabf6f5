/** `/v1/files`: uploads, as far as `file` resources and content blocks need them. */
import { invalid } from "../../../contract/errors.ts";
import { RemovedOutputs } from "../../../session/records/removed_outputs.ts";
import { asBody } from "../../http/body.ts";
import { type Api, type Deps, param } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { apiFile, existingFile, refuseExpired } from "./file.ts";
import { filesBefore, olderFields, olderPosition } from "./older_pages.ts";
import { receiveUpload } from "./upload.ts";

const MAX_IDS = 100;

export function mountFiles(api: Api, deps: Deps): void {
  const { catalog } = deps;

  api.post("/v1/files", async (c) => c.json(apiFile(await receiveUpload(c, deps))));

  api.get("/v1/files", async (c) => {
    const query = new Query(c);
    const ids = [...new Set(query.list("ids", 10 * MAX_IDS))];
    const scope_id = query.text("scope_id");
    const scope = scope_id === undefined ? {} : { scope_id };
    const page = query.text("page");
    if (scope_id !== undefined && page === undefined) await deps.storeOutputs(scope_id);
    if (ids.length > 0) {
      if (ids.length > MAX_IDS) invalid(`\`ids[]\` must have at most ${MAX_IDS} values (it has ${ids.length}).`);
      if (["page", "limit", "after_id", "before_id"].some((name) => query.text(name) !== undefined))
        invalid("`ids[]` cannot be combined with `page`, `limit`, `after_id` or `before_id`.");
      const files = await catalog.listFiles({ ids, limit: MAX_IDS, ...scope });
      return c.json({ data: files.map(apiFile), next_page: null, ...olderFields(files, false) });
    }
    const limit = pageLimit(query);
    const older = await olderPosition(catalog, query);
    if (older?.side === "before") {
      const { data, hasMore } = await filesBefore(catalog, older.file, limit, scope);
      return c.json({ data: data.map(apiFile), next_page: null, ...olderFields(data, hasMore) });
    }
    const position = page === undefined ? older?.file : decodeCursor(rowCursor, page);
    const after = position === undefined ? {} : { after: { created_at: position.created_at, id: position.id } };
    const { data, next_page } = pageOf(await catalog.listFiles({ limit: limit + 1, ...scope, ...after }), limit);
    return c.json({ data: data.map(apiFile), next_page, ...olderFields(data, next_page !== null) });
  });

  api.get("/v1/files/:id", async (c) => c.json(apiFile(await existingFile(deps, param(c, "id")))));

  api.get("/v1/files/:id/content", async (c) => {
    const file = await existingFile(deps, param(c, "id"));
    refuseExpired(file, deps.now());
    const bytes = await deps.blobs.get(file.sha256);
    return new Response(asBody(bytes), {
      headers: {
        "content-type": file.mime_type,
        "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(file.filename).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)}`,
        "x-content-type-options": "nosniff",
      },
    });
  });

  api.delete("/v1/files/:id", async (c) => {
    const file = await existingFile(deps, param(c, "id"));
    const { id } = file;
    await new RemovedOutputs(deps.records).add(file);
    // The bytes stay: sessions that have the file hold a copy of the record that names the same content.
    await catalog.deleteFile(id);
    return c.json({ id, type: "file_deleted" });
  });
}
