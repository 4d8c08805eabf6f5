/** Why the egress route did not connect; the code travels in a header by which the engine tells what to do. */

export type EgressRefusalCode =
  /** The capability token is unknown or was revoked: ask for a new one. */
  | "capability"
  /** No allow-list is known for the session, as after a restart of the broker: register it again. */
  | "policy_unknown"
  /** The sandbox has variables with credentials, and which is not known, as after a restart: register them again. */
  | "grants_unknown"
  /** The rules allow it, but the value of a variable cannot be had for it: a person must act. */
  | "credential"
  | "malformed"
  | "host"
  | "port"
  /** The name leads to an address that no sandbox may reach. */
  | "address"
  | "limit"
  | "draining"
  /** The rules allow it, but there was no connection to be had. */
  | "unresolved"
  | "unreachable";

const STATUS: Record<EgressRefusalCode, number> = {
  capability: 407,
  policy_unknown: 403,
  grants_unknown: 403,
  credential: 503,
  malformed: 400,
  host: 403,
  port: 403,
  address: 403,
  limit: 429,
  draining: 503,
  unresolved: 502,
  unreachable: 502,
};

export class EgressRefusal extends Error {
  override readonly name = "EgressRefusal";
  readonly code: EgressRefusalCode;

  /** @param message what was refused and by which rule; never a secret. Only ASCII: it travels in a header. */
  constructor(code: EgressRefusalCode, message: string) {
    super(message.replace(/[^\x20-\x7e]/g, "?"));
    this.code = code;
  }

  /** The answer to a CONNECT request. */
  response(): string {
    const status = STATUS[this.code];
    return [
      `HTTP/1.1 ${status} ${this.code}`,
      `longhaul-refused: ${this.code}`,
      `longhaul-reason: ${this.message}`,
      "content-length: 0",
      "connection: close",
      "\r\n",
    ].join("\r\n");
  }
}
