import { MemoryRecords } from "./memory_records.ts";
import { recordsSuite } from "./records_suite.ts";

recordsSuite("memory", async () => new MemoryRecords());
