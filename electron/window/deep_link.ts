/** Links such as `longhaul://session/sesn_01…` from other programs. */
import { isId } from "../../main/contract/ids.ts";

export const SCHEME = "longhaul";

/** The page's fragment that a link names, `#/s/<id>`; null for a link that is not ours or is malformed. */
export function fragmentOf(link: string): string | null {
  const match = /^longhaul:\/\/session\/([A-Za-z0-9_]+)\/?$/.exec(link);
  const id = match?.[1] ?? "";
  return isId("session", id) ? `#/s/${id}` : null;
}

/** The first link among a command line's arguments. */
export function linkIn(argv: readonly string[]): string | null {
  return argv.find((argument) => argument.startsWith(`${SCHEME}://`)) ?? null;
}
