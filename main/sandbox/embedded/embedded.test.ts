import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sandboxSuite } from "../sandbox_suite.ts";
import { crash } from "../testing/processes.ts";
import { sandboxLayout } from "./layout.ts";
import { embeddedProvider } from "./provider.ts";

sandboxSuite("embedded", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "longhaul-suite-"));
  return {
    open: () => embeddedProvider({ dataDir, hostEntry: join(import.meta.dirname, "host.ts") }),
    kill: async (sessionId) => {
      const record = JSON.parse(await readFile(sandboxLayout(dataDir, sessionId).hostFile, "utf8")) as { pid: number };
      await crash(record.pid);
    },
    tearDown: () => rm(dataDir, { recursive: true, force: true }),
  };
});
