import { expect, test } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import { SandboxSteps } from "./sandbox_steps.ts";

test("a credential whose host the network does not allow is the contract's error beside its step", async () => {
  const steps = new SandboxSteps(() => Promise.reject(new Error("nothing takes so long here")));
  const credential = { vault_id: "vlt_1", credential_id: "vcrd_1" };
  steps.add({ step: "compare credentials with the network", duration_ms: 0, error: "not allowed: a.test", credential });
  expect(await steps.rest()).toEqual([
    {
      type: "longhaul.sandbox_step",
      step: "compare credentials with the network",
      duration_ms: 0,
      error: "not allowed: a.test",
    },
    {
      type: "session.error",
      error: {
        type: "credential_host_unreachable_error",
        message: "not allowed: a.test",
        vault_id: "vlt_1",
        credential_id: "vcrd_1",
        retry_status: { type: "retrying" },
      },
    },
  ] satisfies EventDraft[]);
});
