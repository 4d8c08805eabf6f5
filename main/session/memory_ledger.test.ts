import { ledgerSuite } from "./ledger_suite.ts";
import { MemoryLedger } from "./memory_ledger.ts";

ledgerSuite("memory", async (options) => new MemoryLedger(options));
