/** `/longhaul/v1/sessions/{id}/outputs`: files that the agent left for the person. */
import { Readable } from "node:stream";
import { notFound } from "../../contract/errors.ts";
import { MAX_OUTPUTS, type OutputList } from "../../contract/local_api.ts";
import { type Api, type Deps, param } from "../http/context.ts";
import { existingSession } from "../v1/sessions/session.ts";
import { inWords } from "./changes.ts";

export function mountOutputs(api: Api, deps: Deps): void {
  api.get("/longhaul/v1/sessions/:id/outputs", async (c) => {
    const { id } = await existingSession(deps, param(c, "id"));
    const files = await inWords(() => deps.outputs(id));
    const more = files.length > MAX_OUTPUTS;
    const list: OutputList = {
      data: files.slice(0, MAX_OUTPUTS),
      note: more
        ? `There are more than ${MAX_OUTPUTS.toLocaleString("en")} files; the rest is not listed. Ask the agent to pack them into one archive.`
        : null,
    };
    return c.json(list);
  });

  api.get("/longhaul/v1/sessions/:id/outputs/:path{.+}", async (c) => {
    const { id } = await existingSession(deps, param(c, "id"));
    const path = param(c, "path");
    const found = (await inWords(() => deps.readOutput(id, path))) ?? notFound("Output", path);
    return new Response(streamed(found.stream), {
      headers: {
        // Never as what it claims to be: the agent's page must not run with the rights of this origin.
        "content-type": "application/octet-stream",
        "content-length": String(found.size),
        "content-disposition": `attachment; filename*=UTF-8''${fileNameParameter(path)}`,
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "no-store",
      },
    });
  });
}

/** The stream as a body that takes bytes only as fast as the client does, and ends the stream when the client is gone. */
function streamed(stream: Readable): ReadableStream<Uint8Array<ArrayBuffer>> {
  return Readable.toWeb(stream, {
    strategy: { highWaterMark: 64 * 1024, size: (chunk: Uint8Array) => chunk.byteLength },
  }) as unknown as ReadableStream<Uint8Array<ArrayBuffer>>;
}

function fileNameParameter(path: string): string {
  const name = path.split("/").at(-1) ?? "";
  return encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
