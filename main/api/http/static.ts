/** The built user interface, for a browser or the app's window. No key is needed to read it: it holds no data. */
import { readFile, realpath } from "node:fs/promises";
import { extname, join, sep } from "node:path";
import { ApiError } from "../../contract/errors.ts";
import type { Api } from "./context.ts";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".webp": "image/webp",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
  ".txt": "text/plain; charset=utf-8",
};

/** Scripts only from here; styles may be inline because code highlighting and layout set them on elements. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "worker-src 'self' blob:",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Serves the files of `folder`; `/` is its `index.html`. */
export function mountStatic(api: Api, folder: string): void {
  api.get("/*", async (c) => {
    const path = c.req.path === "/" ? "/index.html" : decodePath(c.req.path);
    const bytes = await readInside(folder, path);
    if (bytes === null) throw new ApiError("not_found_error", `There is nothing at ${c.req.path}.`);
    const hashed = path.startsWith("/assets/");
    return new Response(bytes, {
      headers: {
        "content-type": TYPES[extname(path)] ?? "application/octet-stream",
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        // The names of built assets change with their content; the page itself must always be the newest.
        "cache-control": hashed ? "public, max-age=31536000, immutable" : "no-cache",
      },
    });
  });
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return "";
  }
}

/** The file's bytes; null when it does not exist or lies outside of the folder, through `..` or a link. */
async function readInside(folder: string, path: string): Promise<Uint8Array<ArrayBuffer> | null> {
  if (path === "" || path.includes("\0") || path.includes("\\")) return null;
  try {
    const root = await realpath(folder);
    const file = await realpath(join(root, path));
    if (!file.startsWith(root + sep)) return null;
    return await readFile(file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR" || code === "EISDIR" || code === "ENAMETOOLONG") return null;
    throw error;
  }
}
