import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { SandboxVariable } from "../../port.ts";
import { provisionRequest, runTool } from "../../testing/bench.ts";
import { embeddedProvider } from "../provider.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const session = "sesn_variables";
let dataDir = "";
let provider: ReturnType<typeof embeddedProvider>;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "longhaul-variables-"));
  provider = embeddedProvider({ dataDir, hostEntry: join(import.meta.dirname, "../host.ts") });
});
afterEach(async () => {
  await provider.destroy(session);
  await provider.close();
  await rm(dataDir, { recursive: true, force: true });
});

const variable = (name: string, placeholder: string): SandboxVariable => ({
  name,
  placeholder,
  hosts: null,
  credential: { vault_id: "vlt_1", credential_id: "vcrd_1", secret_id: "0".repeat(32), issuer: name },
});

test("commands see placeholders, new ones from the next call on, and the timeline says what they are worth", async () => {
  const steps: string[] = [];
  const provision = (variables?: SandboxVariable[]) =>
    provider.provision(
      provisionRequest(session, {
        ...(variables === undefined ? {} : { variables }),
        onStep: ({ step }) => void steps.push(step),
      }),
    );
  const { hand } = await provision([variable("TOKEN", "lhv_one"), variable("PATH", "lhv_two")]);
  const read = `echo "$TOKEN $OTHER"; python3 -c "import os; print(os.environ.get('TOKEN'))"; ls / > /dev/null && echo works`;
  expect(await runTool(hand, "bash", { command: read })).toContain("lhv_one \nlhv_one\nworks");
  expect(steps.join()).toContain("set TOKEN, PATH to placeholders; this sandbox has no network");
  await runTool(hand, "bash", { command: "export MINE=1; TOKEN=mine" });
  expect(await runTool(hand, "bash", { command: 'echo "$TOKEN"' })).toContain("mine");
  await provision([variable("TOKEN", "lhv_one"), variable("OTHER", "lhv_three")]);
  expect(await runTool(hand, "bash", { command: 'echo "$TOKEN $OTHER $MINE"' })).toContain("lhv_one lhv_three 1");
  await provision([]);
  expect(await readFile(join(dataDir, "sandboxes", session, "variables.json"), "utf8")).toBe("{}");
});
