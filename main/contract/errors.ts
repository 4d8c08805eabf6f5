/** The error envelope of the Managed Agents API and the one error class that carries it (contract.md §2.2). */

export type ApiErrorType =
  | "invalid_request_error"
  | "authentication_error"
  | "billing_error"
  | "permission_error"
  | "not_found_error"
  | "conflict_error"
  | "memory_path_conflict_error"
  | "memory_precondition_failed_error"
  | "request_too_large"
  | "rate_limit_error"
  | "api_error"
  | "timeout_error"
  | "overloaded_error";

const STATUS: Record<ApiErrorType, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  conflict_error: 409,
  memory_path_conflict_error: 409,
  memory_precondition_failed_error: 409,
  request_too_large: 413,
  rate_limit_error: 429,
  api_error: 500,
  timeout_error: 504,
  overloaded_error: 529,
};

export interface ErrorEnvelope {
  type: "error";
  error: {
    type: ApiErrorType;
    message: string;
    details?: { error_code: string; [key: string]: unknown };
    /** Fields of its own that the contract gives an error type. */
    [field: string]: unknown;
  };
  request_id: string;
}

/** A failure that a caller of the API caused or can act on. `message` names the field and the fix. */
export class ApiError extends Error {
  readonly type: ApiErrorType;
  readonly code: string | undefined;
  /** What the contract puts beside the type and the message of some errors. */
  readonly fields: Readonly<Record<string, string>>;

  constructor(type: ApiErrorType, message: string, code?: string, fields: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = "ApiError";
    this.type = type;
    this.code = code;
    this.fields = fields;
  }

  /** HTTP status that the contract gives this error type. */
  get status(): number {
    return STATUS[this.type];
  }

  /** The JSON body for this error; `requestId` is the one in the `request-id` header. */
  envelope(requestId: string): ErrorEnvelope {
    const details = this.code === undefined ? {} : { details: { error_code: this.code } };
    const error = { ...this.fields, type: this.type, message: this.message, ...details };
    return { type: "error", error, request_id: requestId };
  }
}

/** Throws 400 `invalid_request_error`. */
export function invalid(message: string, code?: string): never {
  throw new ApiError("invalid_request_error", message, code);
}

/** Throws 404 `not_found_error` for a resource that does not exist. */
export function notFound(what: string, id: string, code?: string): never {
  throw new ApiError("not_found_error", `${what} ${JSON.stringify(id)} not found.`, code);
}
