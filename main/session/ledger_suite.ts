/** The conformance suite of the ledger port: rules L1–L12 as far as every adapter must keep them. */
import { describe } from "vitest";
import { appendRules } from "./testing/append_rules.ts";
import { bodyRules } from "./testing/body_rules.ts";
import { leaseRules } from "./testing/lease_rules.ts";
import { publicOrderRules } from "./testing/public_order_rules.ts";
import { readingRules } from "./testing/reading_rules.ts";
import type { OpenLedger } from "./testing/rig.ts";
import { secretRules } from "./testing/secret_rules.ts";

/** @param open makes an empty ledger, which the adapter's own test file closes and removes */
export function ledgerSuite(adapter: string, open: OpenLedger): void {
  describe(`ledger port on ${adapter}`, () => {
    appendRules(open);
    bodyRules(open);
    leaseRules(open);
    publicOrderRules(open);
    readingRules(open);
    secretRules(open);
  });
}
