/** `/v1/memory_stores/{id}/memories`. */
import type { BetaManagedAgentsMemory } from "@anthropic-ai/sdk/resources/beta/memory-stores";
import { invalid } from "../../../contract/errors.ts";
import { memoryCreate, memoryUpdate, sha256Hex } from "../../../contract/memory/schemas.ts";
import { type FullMemory, Memories } from "../../../session/memories/memories.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { Query } from "../../http/query.ts";
import { actorOf } from "./actor.ts";
import { memoryPage, readListQuery } from "./memory_list.ts";
import { type View, viewOf } from "./view.ts";

const LIST = "/v1/memory_stores/:id/memories";
const ONE = "/v1/memory_stores/:id/memories/:memory";

export function mountMemories(api: Api, deps: Deps): void {
  const memories = new Memories(deps.records, deps.now);
  const ids = (c: ApiContext): [string, string] => [param(c, "id"), param(c, "memory")];

  api.post(LIST, async (c) => {
    const view = viewOf(new Query(c), "basic");
    const { path, content } = await readBody(c, memoryCreate);
    return c.json(shown(await memories.create(param(c, "id"), path, content ?? "", actorOf(c)), view));
  });

  api.get(LIST, async (c) => {
    const query = readListQuery(new Query(c));
    const id = param(c, "id");
    const { items, next_page } = memoryPage(await memories.list(id, query.prefix), query);
    const data = [];
    for (const item of items) {
      if (item.type === "memory_prefix") data.push(item);
      else if (query.view === "basic") data.push({ ...item, content: null });
      // One that was deleted since the list was read is left out, as if the list had been read later.
      else data.push(...(await memories.getFull(id, item.id).then((memory) => [memory], absent)));
    }
    return c.json({ data, next_page });
  });

  api.get(ONE, async (c) => {
    const view = viewOf(new Query(c), "full");
    return c.json(shown(await memories.getFull(...ids(c)), view));
  });

  // The SDK posts; clients of an older description of the API patch.
  api.on(["POST", "PATCH"], ONE, async (c) => {
    const view = viewOf(new Query(c), "basic");
    const { path, content, precondition } = await readBody(c, memoryUpdate);
    const change = { path, content, expected_sha256: precondition?.content_sha256 };
    return c.json(shown(await memories.update(...ids(c), change, actorOf(c)), view));
  });

  api.delete(ONE, async (c) => {
    const [storeId, id] = ids(c);
    const expected = new Query(c).text("expected_content_sha256");
    if (expected !== undefined && !sha256Hex.safeParse(expected).success) {
      invalid("`expected_content_sha256` must be 64 lower-case hexadecimal characters.");
    }
    await memories.delete(storeId, id, expected, actorOf(c));
    return c.json({ id, type: "memory_deleted" });
  });
}

function shown(memory: FullMemory, view: View): BetaManagedAgentsMemory {
  return view === "full" ? memory : { ...memory, content: null };
}

function absent(error: unknown): FullMemory[] {
  if ((error as { type?: unknown }).type === "not_found_error") return [];
  throw error;
}
