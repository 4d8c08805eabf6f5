/** What a ledger adapter hands to its conformance suite. */
import type { BlobStore } from "../catalog.ts";
import type { Ledger } from "../ledger.ts";
import type { IsHolderAlive } from "../record/lease_rules.ts";
import type { ScrubEvent } from "../secrets/mask_event.ts";

export interface LedgerOptions {
  now?: () => number;
  blobs?: BlobStore;
  isHolderAlive?: IsHolderAlive;
  scrub?: ScrubEvent;
}

/** Opens an empty ledger; the test's end closes and removes it. */
export type OpenLedger = (options?: LedgerOptions) => Promise<Ledger>;

/** A clock that tests move by hand. */
export class ManualClock {
  time = Date.parse("2026-03-01T10:00:00.000Z");
  readonly now = (): number => this.time;
}
