import { randomBytes } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The API token of this data directory: the same after a restart, so that clients that hold it go on working. */
export function apiToken(dataDir: string): string {
  const path = join(dataDir, "api_token");
  try {
    const known = readFileSync(path, "utf8").trim();
    if (/^[0-9a-f]{64}$/.test(known)) return known;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const token = randomBytes(32).toString("hex");
  writeFileSync(path, `${token}\n`, { mode: 0o600 });
  // An existing file keeps its mode when it is written: only the owner may read the token.
  chmodSync(path, 0o600);
  return token;
}
