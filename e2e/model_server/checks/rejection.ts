/** A request that the Messages API refuses, in its error shape. */

export type MessagesErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "billing_error"
  | "permission_error"
  | "not_found_error"
  | "request_too_large"
  | "rate_limit_error"
  | "timeout_error"
  | "api_error"
  | "overloaded_error";

export interface MessagesErrorBody {
  type: "error";
  error: { type: MessagesErrorType; message: string };
  request_id: string;
}

/** Thrown by the checks; the server answers it with `status` and the envelope. */
export class Rejection extends Error {
  readonly status: number;
  readonly type: MessagesErrorType;

  constructor(message: string, status = 400, type: MessagesErrorType = "invalid_request_error") {
    super(message);
    this.name = "Rejection";
    this.status = status;
    this.type = type;
  }

  body(requestId: string): MessagesErrorBody {
    return { type: "error", error: { type: this.type, message: this.message }, request_id: requestId };
  }
}

/** Throws a 400 with the text the real API uses for this kind of mistake. */
export function reject(message: string): never {
  throw new Rejection(message);
}
