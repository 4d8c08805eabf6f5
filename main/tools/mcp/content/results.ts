/** A tool's result in blocks that the model can use; what it cannot see or hear is told in text. */
import type { CallToolResult, ContentBlock } from "@modelcontextprotocol/client";
import { beginsLike, IMAGE_TYPES, MAX_IMAGE_BYTES } from "../../../contract/schemas/content.ts";
import type { McpResult, ResultContent } from "../port.ts";
import { bounded, cleanText, oneLine } from "./text.ts";

/** UTF-16 units of all text of a result: about a quarter of a small model's window. */
const MAX_TEXT = 100_000;
const MAX_BLOCKS = 100;
/** UTF-16 units of the text that is kept beside them for a file. */
const MAX_WHOLE = 8 * 1024 * 1024;
/** Base64 characters of all images and documents of a result: several such results must fit into one request. */
const MAX_DATA = 12_000_000;
const MAX_PDF_BYTES = 8 * 1024 * 1024;

/** @returns at least one block; `is_error` as the tool says */
export function toResult(result: CallToolResult): McpResult {
  const blocks = new Blocks();
  for (const block of result.content ?? []) blocks.add(block);
  if (result.structuredContent !== undefined && !saysTheSame(result.content ?? [], result.structuredContent)) {
    blocks.text(JSON.stringify(result.structuredContent, null, 1));
  }
  const whole = blocks.whole();
  const shown = { content: blocks.done(), is_error: result.isError === true };
  return whole === null ? shown : { ...shown, whole };
}

/** What the model is told when the server refused the call itself: wrong arguments, no such tool. */
export function refusedCall(message: string, code: number): McpResult {
  const text = `The MCP server refused this call: ${bounded(cleanText(message), 4_000)} (error ${code})`;
  return { content: [{ type: "text", text }], is_error: true };
}

class Blocks {
  readonly #blocks: ResultContent[] = [];
  readonly #texts: string[] = [];
  #text = 0;
  #data = 0;
  #leftOut = 0;

  add(block: ContentBlock): void {
    switch (block.type) {
      case "text":
        return this.text(block.text);
      case "image":
        return this.#blob(block.data, block.mimeType, "image");
      case "audio":
        return this.text(`[Sound, ${described(block.mimeType, block.data)}: it cannot be heard here.]`);
      case "resource_link":
        return this.text(linkText(block));
      case "resource":
        return this.#resource(block.resource);
    }
  }

  text(given: string): void {
    const text = cleanText(given);
    if (text === "") return;
    this.#texts.push(text);
    const room = MAX_TEXT - this.#text;
    if (room < 100 || this.#blocks.length >= MAX_BLOCKS) this.#leftOut += 1;
    else this.#blocks.push({ type: "text", text: bounded(text, room) });
    this.#text += text.length;
  }

  whole(): string | null {
    return this.#text > MAX_TEXT ? bounded(this.#texts.join("\n\n"), MAX_WHOLE) : null;
  }

  done(): ResultContent[] {
    if (this.#leftOut > 0) {
      this.#blocks.push({ type: "text", text: `[${this.#leftOut} more parts of this result were too large to show.]` });
    }
    if (this.#blocks.length === 0) this.#blocks.push({ type: "text", text: "(no output)" });
    return this.#blocks;
  }

  #resource(resource: { uri: string; mimeType?: string | undefined; text?: unknown; blob?: unknown }): void {
    const uri = oneLine(resource.uri, 2_000);
    if (typeof resource.text === "string") return this.text(`Resource ${uri}:\n${resource.text}`);
    if (typeof resource.blob !== "string") return;
    const type = mediaType(resource.mimeType);
    this.text(`Resource ${uri}:`);
    if (/^text\/|[/+](json|xml|yaml|javascript)$/.test(type)) return this.text(decoded(resource.blob));
    this.#blob(resource.blob, type, "file");
  }

  #blob(given: string, givenType: string, what: string): void {
    const media_type = mediaType(givenType);
    const data = standardBase64(given);
    if (data === null) return this.text(`[A ${what} of type ${media_type} that is not in base64.]`);
    const bytes = (data.length / 4) * 3;
    const image = (IMAGE_TYPES as readonly string[]).includes(media_type) && bytes <= MAX_IMAGE_BYTES;
    const pdf = media_type === "application/pdf" && bytes <= MAX_PDF_BYTES;
    // One block that the model's API refuses would make it refuse every later request of the session.
    const fits = (image || pdf) && data !== "" && beginsLike(media_type, atob(data.slice(0, 8)));
    if (!fits) return this.text(`[A ${what}, ${described(media_type, data)}: it cannot be shown here.]`);
    if (this.#data + data.length > MAX_DATA || this.#blocks.length >= MAX_BLOCKS) {
      this.#leftOut += 1;
      return;
    }
    this.#data += data.length;
    const source = { type: "base64" as const, media_type, data };
    this.#blocks.push(image ? { type: "image", source } : { type: "document", source });
  }
}

function linkText(link: {
  uri: string;
  name: string;
  title?: string | undefined;
  description?: string | undefined;
  mimeType?: string | undefined;
}): string {
  const name = oneLine(link.title ?? link.name, 300);
  const type = link.mimeType === undefined ? "" : ` (${mediaType(link.mimeType)})`;
  const about = link.description === undefined ? "" : `: ${oneLine(link.description, 1_000)}`;
  return `Resource "${name}"${type} at ${oneLine(link.uri, 2_000)}${about}`;
}

const mediaType = (given: string | undefined): string =>
  oneLine((given ?? "").split(";", 1)[0] ?? "", 100).toLowerCase() || "application/octet-stream";

const described = (type: string, data: string): string =>
  `type ${mediaType(type)}, about ${Math.ceil((data.length * 3) / 4 / 1024)} KiB`;

/** The same bytes in the alphabet and with the padding that the model's API takes; null when it is not base64. */
function standardBase64(given: string): string | null {
  const data = given.replace(/\s+/g, "").replaceAll("-", "+").replaceAll("_", "/").replace(/=+$/, "");
  if (data.length % 4 === 1 || /[^A-Za-z0-9+/]/.test(data)) return null;
  return data.padEnd(Math.ceil(data.length / 4) * 4, "=");
}

function decoded(blob: string): string {
  return new TextDecoder().decode(Buffer.from(blob, "base64"));
}

/** Servers repeat structured content as JSON text for older clients: the model needs it once. */
function saysTheSame(content: readonly ContentBlock[], structured: unknown): boolean {
  const wanted = JSON.stringify(structured);
  return content.some((block) => {
    if (block.type !== "text") return false;
    try {
      return JSON.stringify(JSON.parse(block.text)) === wanted;
    } catch {
      return false;
    }
  });
}
