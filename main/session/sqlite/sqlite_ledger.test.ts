import { ledgerSuite } from "../ledger_suite.ts";
import { temporaryStore } from "../testing/temporary_store.ts";

ledgerSuite("SQLite", async (options) => temporaryStore({ ...options, expected: /a bug of a subscriber/ }).ledger);
