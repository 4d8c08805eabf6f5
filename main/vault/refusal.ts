/** Answers of the broker itself, in the error envelope of the API. None of them can hold a secret. */
import type { ServerResponse } from "node:http";
import { ApiError, type ApiErrorType } from "../contract/errors.ts";
import { newId } from "../contract/ids.ts";

/** Error codes in `error.details.error_code` by which the engine tells what happened. */
export type RefusalCode =
  /** No connection could be made: the network or the endpoint is away. Repeating later can help. */
  | "endpoint_unreachable"
  /** The endpoint took the request and did not begin to answer in time. */
  | "endpoint_timeout"
  /** The endpoint broke the connection or answered with something that is not HTTP. */
  | "endpoint_failed"
  /** The endpoint redirected; following would carry the key to another address. */
  | "endpoint_redirected"
  /** The configured address or key cannot be used: a person must fix it. */
  | "endpoint_misconfigured"
  /** The name leads to an address of this machine, a private network or a metadata service. */
  | "address_refused"
  | "capability_refused"
  /** This session's grants are not known, for example after a restart: the engine registers them again. */
  | "grants_unknown"
  /** The session has no right to this server, repository or host. */
  | "not_granted"
  /** The server refused the credential, or wants one that there is not. A person must sign in. */
  | "sign_in_needed"
  /** Too much at a time. Repeating later helps. */
  | "limit"
  /** No such sign-in is under way: the broker was restarted, or it is long over. It is started again. */
  | "sign_in_unknown"
  /** The credential has not the right to this repository. */
  | "repository_forbidden"
  /** There is no such repository, as far as the credential can see. */
  | "repository_not_found"
  /** What was sent is not git's protocol. */
  | "malformed_git"
  | "push_refused"
  | "broker_draining"
  /** No keychain can keep the key for credentials, or it is locked. A person must act. */
  | "keychain_missing"
  | "keychain_locked"
  /** Values were sealed with a passphrase: another one was given, or none. */
  | "passphrase_wrong"
  | "passphrase_needed"
  /** The keychain lost the key of a value. */
  | "key_missing"
  /** There is no value, or it is not the one of this credential. */
  | "value_missing"
  /** The file of sealed values is damaged or of a newer version. It is left as it is. */
  | "store_unreadable"
  /** The file of sealed values cannot be written, for example because the disk is full. */
  | "store_unwritable";

/** Seconds: a person has to come and unlock it. */
const LOCKED_RETRY_S = 15;

export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: number;
  readonly type: ApiErrorType;
  readonly code: RefusalCode | undefined;

  /** @param message what happened, what is safe, and what to do next; never a secret */
  constructor(status: number, type: ApiErrorType, message: string, code?: RefusalCode) {
    super(message);
    this.status = status;
    this.type = type;
    this.code = code;
  }
}

/** Sends the refusal, or, when a response has already begun, breaks it off so that nobody takes it for complete. */
export function refuse(response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const id = newId("request");
  const headers: Record<string, string> = { "content-type": "application/json", "request-id": id };
  // Lets the engine tell the broker's own words from an upstream's, whose header of this name never passes: a server
  // could otherwise send it for a new capability or to a sign-in.
  headers["longhaul-refused"] = refusal.code === "capability_refused" ? "capability" : (refusal.code ?? "refused");
  if (refusal.code === "keychain_locked") headers["retry-after"] = String(LOCKED_RETRY_S);
  const body = new ApiError(refusal.type, refusal.message, refusal.code).envelope(id);
  response.writeHead(refusal.status, headers);
  response.end(JSON.stringify(body));
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(body));
}
