import { catalogSuite } from "./catalog_suite.ts";
import { MemoryCatalog } from "./memory_catalog.ts";

catalogSuite("memory", async () => new MemoryCatalog());
