/** `/longhaul/v1`: the engine as a whole: health, search, large bodies, signing in. */
import { ApiError, invalid } from "../../contract/errors.ts";
import { parseWith } from "../../contract/schemas/issues.ts";
import { signInBody } from "../../contract/schemas/local.ts";
import { asBody, readJson } from "../http/body.ts";
import { type Api, type Deps, param } from "../http/context.ts";
import { pageLimit, Query } from "../http/query.ts";

const MAX_QUERY = 1000;
/** Anybody on this machine may send it. */
const MAX_SIGN_IN_BYTES = 4 * 1024;

export function mountEngine(api: Api, deps: Deps): void {
  api.get("/longhaul/v1/health", async (c) => c.json(await deps.health()));

  api.get("/longhaul/v1/search", async (c) => {
    const query = new Query(c);
    const text = query.text("q") ?? "";
    if (text.length > MAX_QUERY) invalid(`\`q\` must have at most ${MAX_QUERY} characters.`);
    return c.json({ data: await deps.ledger.search(text, pageLimit(query, 50)) });
  });

  api.get("/longhaul/v1/blobs/:sha", async (c) => {
    const sha = param(c, "sha");
    if (!/^[0-9a-f]{64}$/.test(sha)) invalid("A blob is named by the 64 lower-case hex digits of its SHA-256.");
    let bytes: Uint8Array;
    try {
      bytes = await deps.blobs.get(sha);
    } catch (error) {
      throw new ApiError("not_found_error", error instanceof Error ? error.message : `Blob ${sha} cannot be read.`);
    }
    return new Response(asBody(bytes), {
      headers: {
        "content-type": "application/octet-stream",
        "x-content-type-options": "nosniff",
        // Content-addressed: these bytes never change.
        "cache-control": "private, max-age=31536000, immutable",
      },
    });
  });
}

/** The one route without a key: exchanges a one-time code, which cannot be guessed, for the key. */
export function mountSignIn(api: Api, deps: Deps): void {
  api.post("/longhaul/v1/sign_in", async (c) => {
    const { code } = parseWith(signInBody, await readJson(c, MAX_SIGN_IN_BYTES), "The request body");
    if (!deps.redeemSignInCode(code)) {
      throw new ApiError(
        "authentication_error",
        "This sign-in link is not valid any more: each works once and for a short time. Start Longhaul again for a new one.",
      );
    }
    return c.json({ token: deps.token }, 200, { "cache-control": "no-store" });
  });
}
