/** `/longhaul/v1/settings` and `/longhaul/v1/vault`: the model endpoint and the key of sealed values. Keys only go in. */
import { parseWith } from "../../contract/schemas/issues.ts";
import { modelChange, rotationRequest } from "../../contract/vaults/settings.ts";
import { readJson } from "../http/body.ts";
import type { Api, Deps } from "../http/context.ts";

/** Larger than any key with its escapes. */
const MAX_BYTES = 256 * 1024;
/** Nobody between here and the person keeps a copy. */
const NO_STORE = { "cache-control": "no-store" };

export function mountSettings(api: Api, deps: Deps): void {
  const { settings } = deps;
  api.get("/longhaul/v1/settings/model", async (c) => c.json(await settings.model(), 200, NO_STORE));

  api.put("/longhaul/v1/settings/model", async (c) => {
    const change = parseWith(modelChange, await readJson(c, MAX_BYTES), "The request body");
    return c.json(await settings.setModel(change), 200, NO_STORE);
  });

  api.delete("/longhaul/v1/settings/model", async (c) => c.json(await settings.clearModel(), 200, NO_STORE));

  api.post("/longhaul/v1/settings/model/test", async (c) => c.json(await settings.testModel(), 200, NO_STORE));

  api.get("/longhaul/v1/vault", async (c) => c.json(await settings.vault(), 200, NO_STORE));

  api.post("/longhaul/v1/vault/rotate", async (c) => {
    const request = parseWith(rotationRequest, await readJson(c, MAX_BYTES), "The request body");
    return c.json(await settings.rotate(request), 200, NO_STORE);
  });
}
