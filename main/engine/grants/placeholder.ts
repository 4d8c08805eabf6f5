import { createHash } from "node:crypto";

/**
 * What a sandbox holds in place of the value of an `environment_variable` credential. No secret: it is swapped for the
 * value only in requests of this session, and stays the same when the value is rotated.
 */
export function placeholderOf(sessionId: string, credentialId: string): string {
  const digest = createHash("sha256").update(JSON.stringify(["longhaul.placeholder", sessionId, credentialId]));
  return `longhaul-secret-${digest.digest("hex").slice(0, 40)}`;
}
