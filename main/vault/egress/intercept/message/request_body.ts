/** How a request's body goes on: as it is, replaced as a whole, or replaced as it passes. */
import type { IncomingMessage } from "node:http";
import type { BodyEncoding } from "./placeholders.ts";
import { RequestRefused } from "./refused.ts";

/** Bodies up to this size are read first, so that their new length can be told: not every server takes chunks. */
export const MAX_WHOLE = 1024 * 1024;

export type BodyPlan =
  | { how: "none" }
  /** Nothing in it is replaced. `length` is null when it is not known. */
  | { how: "as_it_is"; length: number | null }
  | { how: "whole"; length: number; encoding: BodyEncoding }
  | { how: "passing"; encoding: BodyEncoding };

/** @param replaces whether any value may stand in a body for this host. Throws {@link RequestRefused}. */
export function bodyPlan({ headers }: IncomingMessage, replaces: boolean): BodyPlan {
  const chunked = headers["transfer-encoding"] !== undefined;
  // The parser takes this coding at the end of a list, and what is before it would go on unsaid.
  if (chunked && headers["transfer-encoding"]?.toLowerCase() !== "chunked") {
    throw new RequestRefused(501, "malformed", "Only the transfer coding chunked is passed on.");
  }
  const length = headers["content-length"] === undefined ? null : Number(headers["content-length"]);
  if (!chunked && length === null) return { how: "none" };
  const encoding = replaces ? encodingFor(headers["content-type"], headers["content-encoding"]) : null;
  if (encoding === null || length === 0) return { how: "as_it_is", length };
  return length !== null && length <= MAX_WHOLE ? { how: "whole", length, encoding } : { how: "passing", encoding };
}

/** Null for a body in which nothing is replaced: compressed, or of a type that is no text. */
export function encodingFor(contentType: string | undefined, contentEncoding: string | undefined): BodyEncoding | null {
  if (!/^\s*(identity)?\s*$/i.test(contentEncoding ?? "")) return null;
  const type = (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
  if (type === "application/x-www-form-urlencoded") return "form";
  if (/^(application|text)\/([\w.-]+\+)?(x-)?(nd|geo)?json(l|-seq|lines)?$/.test(type)) return "json";
  if (/^(application|text)\/([\w.-]+\+)?xml$/.test(type)) return "xml";
  const isText = /^(text|multipart)\/|^application\/(graphql|(x-)?(javascript|yaml|toml|sh))$/.test(type);
  return type === "" || isText ? "plain" : null;
}

/** The header that says where the body ends. */
export function framing(plan: BodyPlan, method: string, whole: Buffer | null): string[] {
  if (whole !== null) return ["content-length", String(whole.length)];
  if (plan.how === "as_it_is" && plan.length !== null) return ["content-length", String(plan.length)];
  if (plan.how !== "none") return ["transfer-encoding", "chunked"];
  return ["POST", "PUT", "PATCH"].includes(method) ? ["content-length", "0"] : [];
}

/** All of a body whose length was told. Rejects when the caller leaves. */
export function readWhole(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => resolve(Buffer.concat(chunks)));
    request.on("error", reject);
    request.on("close", () => reject(new Error("the caller left")));
  });
}
