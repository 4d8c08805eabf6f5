/** A keychain whose items are files: it outlives the process that uses it, and says before and after each change. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Keychain } from "../keychain.ts";

/** @param step called before and after each question and change */
export function folderKeychain(folder: string, step: () => void = () => undefined): Keychain {
  const stepped = <T>(act: () => T): T => {
    step();
    const result = act();
    step();
    return result;
  };
  return async (account) => {
    const path = join(folder, account);
    return {
      getSecret: async () => stepped(() => readOrNull(path)),
      setSecret: async (secret) => stepped(() => writeFileSync(path, secret)),
      deleteCredential: async () =>
        stepped(() => {
          // In the words of the real module.
          if (!existsSync(path)) throw new Error("No matching entry found in secure storage");
          rmSync(path);
          return true;
        }),
    };
  };
}

/** Accounts of the items. */
export const itemsOf = (folder: string): string[] => readdirSync(folder);

function readOrNull(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
