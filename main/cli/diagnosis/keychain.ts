/** Where the key for stored credentials is kept, as the broker would find it. Asks nobody for anything. */
import { UsageError } from "../../config.ts";
import type { HealthCheck } from "../../contract/local_api.ts";
import { openSealedStore, systemKeys } from "../../vault/sealed/open_store.ts";
import { type Finding, fail, ok, warn } from "./check.ts";

/** @param passphrase as the command line took it from the environment; throws a UsageError when it is unusable */
export async function checkKeychain(dataDir: string, passphrase: () => string | null): Promise<Finding> {
  try {
    return keychainFinding(await openSealedStore(dataDir, systemKeys(passphrase())).status());
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return fail("keychain", "the passphrase in the environment cannot be used", error.message);
  }
}

/** A missing keychain is no failure: everything but storing credentials works without one. */
export function keychainFinding({ state, summary, advice }: HealthCheck): Finding {
  return state === "ok"
    ? ok("keychain", summary, advice)
    : warn("keychain", summary, advice ?? "See the broker's log.");
}
