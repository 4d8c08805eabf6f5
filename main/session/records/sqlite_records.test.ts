import { temporaryStore } from "../testing/temporary_store.ts";
import { recordsSuite } from "./records_suite.ts";

recordsSuite("SQLite", async () => temporaryStore().records);
