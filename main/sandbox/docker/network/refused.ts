/** The rules do not allow this connection, as against one that is allowed and failed. */
export class EgressRefused extends Error {
  override readonly name = "EgressRefused";
}
