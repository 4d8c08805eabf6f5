/** Every failure in words: what happened, what is safe, what to do next. */

export type ProblemKind = "away" | "signed_out" | "rejected" | "missing" | "conflict" | "failed";

/** A failure that a person can be told about. */
export class Problem extends Error {
  readonly kind: ProblemKind;
  /** What is safe and what to do next; empty when `message` says it all. */
  readonly advice: string;
  readonly status: number | null;

  constructor(kind: ProblemKind, message: string, advice = "", status: number | null = null) {
    super(message);
    this.name = "Problem";
    this.kind = kind;
    this.advice = advice;
    this.status = status;
  }
}

/** The request never got an answer. `sent`: it may have reached the engine all the same. */
export function away(sent: boolean): Problem {
  return new Problem(
    "away",
    "The engine did not answer.",
    sent
      ? "Everything stored so far is safe. Look at the timeline before you send this again: it may have arrived."
      : "Everything stored so far is safe. This view reconnects by itself.",
  );
}

/** The message of the contract's error envelope, if `body` is one. */
export function envelopeMessage(body: unknown): string | null {
  if (typeof body !== "object" || body === null || !("error" in body)) return null;
  const { error } = body;
  if (typeof error !== "object" || error === null || !("message" in error)) return null;
  return typeof error.message === "string" && error.message !== "" ? error.message : null;
}

/** A problem from an answer's status and parsed body. */
export function problemOfAnswer(status: number, body: unknown): Problem {
  const message = envelopeMessage(body) ?? `The engine answered with status ${status}.`;
  if (status === 401) return new Problem("signed_out", "This page is not signed in to the engine.", "", status);
  if (status === 404) return new Problem("missing", message, "", status);
  if (status === 409) return new Problem("conflict", message, "Nothing was changed.", status);
  if (status >= 400 && status < 500) return new Problem("rejected", message, "Nothing was changed.", status);
  return new Problem("failed", message, "What was stored before is safe.", status);
}

/** Anything thrown, as a problem. Errors of the SDK carry `status` and the parsed body as `error`. */
export function problemOf(thrown: unknown, sent = false): Problem {
  if (thrown instanceof Problem) return thrown;
  if (typeof thrown === "object" && thrown !== null) {
    const { status, error } = thrown as { status?: unknown; error?: unknown };
    if (typeof status === "number") return problemOfAnswer(status, error);
  }
  return away(sent);
}
