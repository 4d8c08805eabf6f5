import { catalogSuite } from "../catalog_suite.ts";
import { temporaryStore } from "../testing/temporary_store.ts";

catalogSuite("SQLite", async () => temporaryStore().catalog);
