/**
 * An append that can never succeed as it stands: a duplicate id, a value that is not JSON, a session that exists
 * already. Only this append is refused; others of the same transaction are kept.
 */
export class InvalidAppendError extends Error {
  override readonly name = "InvalidAppendError";
}
