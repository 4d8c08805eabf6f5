/** A text sealed with each master key, by which the right key is told from another one before anything depends on it. */
import { randomBytes } from "node:crypto";
import { openText, type Sealed, sealText } from "./seal.ts";

const TEXT = "longhaul master key";

export const newKeyId = (): string => randomBytes(16).toString("hex");

export const keyCheck = (id: string, key: Buffer): Sealed => sealText(key, contextOf(id), TEXT);

export function isKey(entry: { id: string; check: Sealed }, key: Buffer): boolean {
  return key.length === 32 && openText(key, contextOf(entry.id), entry.check) === TEXT;
}

const contextOf = (id: string): string => JSON.stringify(["longhaul.key_check", 1, id]);
