/** Every failure becomes the contract's error envelope (contract.md §2.2). */
import { ApiError } from "../../contract/errors.ts";
import { LedgerWriteError, UnknownSessionError } from "../../session/ledger.ts";
import type { FailureReport } from "../ports.ts";

/** What the system says when it cannot store or open a file. */
const STORAGE_FAILURES: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EROFS: "the disk can only be read",
  EACCES: "a file or folder of the engine may not be used",
  EPERM: "a file or folder of the engine may not be used",
  EIO: "the disk reports an error",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
};

/** The system's code of a failure, also when others have wrapped it. */
function storageFailure(error: unknown): string | null {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth += 1) {
    const code = "code" in at ? String(at.code) : "";
    if (code in STORAGE_FAILURES) return `${STORAGE_FAILURES[code]} (${code})`;
  }
  return null;
}

/** The error that a client is told about; anything unexpected becomes a 500 that reveals nothing but its request id. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof UnknownSessionError) return new ApiError("not_found_error", error.message);
  if (error instanceof LedgerWriteError) {
    return new ApiError(
      "api_error",
      `The ledger could not be written: ${error.message} Nothing of this request was stored. Free disk space or fix the data folder's permissions, then send it again.`,
    );
  }
  const storage = storageFailure(error);
  if (storage !== null) {
    return new ApiError(
      "api_error",
      `This request could not be carried out: ${storage}. What was acknowledged before is safe. Free disk space or fix the permissions of the data folder and the temporary folder, then send it again.`,
    );
  }
  return new ApiError(
    "api_error",
    "The engine met an unexpected error. What was acknowledged before is safe. Try again; if it happens again, report the request id with the engine's log.",
  );
}

/**
 * The response for an error, with the envelope and the headers the official SDK looks at.
 * @param scrub what may be said of its text, which can quote what a client, a tool or a server sent
 */
export function errorResponse(
  error: ApiError,
  requestId: string,
  scrub: (text: string) => string = (text) => text,
): Response {
  const headers: Record<string, string> = { "content-type": "application/json", "request-id": requestId };
  // The official SDK repeats a 409 by itself, but a version or name conflict stays one.
  if (error.status === 409) headers["x-should-retry"] = "false";
  const clean = (key: string, value: unknown): unknown =>
    key === "message" && typeof value === "string" ? scrub(value) : value;
  return new Response(JSON.stringify(error.envelope(requestId), clean), { status: error.status, headers });
}

/** Failures of this program; refusals of bad requests are not logged. */
export function isOurFault(error: unknown): boolean {
  return !(error instanceof ApiError) && !(error instanceof UnknownSessionError);
}

/** Default of `ApiPorts.reportFailure`: one JSON line on standard error. */
export function reportToStandardError(report: FailureReport): void {
  const { error, ...facts } = report;
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${JSON.stringify({ level: "error", msg: "request failed", ...facts, error: text })}\n`);
}
