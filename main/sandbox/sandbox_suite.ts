/**
 * What every sandbox provider must do, whatever it runs on. A provider's own tests call {@link sandboxSuite}; nothing here
 * knows how the provider works.
 */
import { afterAll, beforeAll, describe, vi } from "vitest";
import type { Hand, SandboxProvider } from "./port.ts";
import { attachmentsSuite } from "./testing/attachments_suite.ts";
import { bashSuite } from "./testing/bash_suite.ts";
import { type Bench, type Fields, provisionRequest, runTool, type SandboxUnderTest } from "./testing/bench.ts";
import { callsSuite, killedSuite } from "./testing/calls_suite.ts";
import { filesSuite } from "./testing/files_suite.ts";
import { provisioningSuite } from "./testing/provisioning_suite.ts";

/** @param setUp makes the place that the tested providers keep their sandboxes in */
export function sandboxSuite(name: string, setUp: () => Promise<SandboxUnderTest>): void {
  // A busy machine starts processes slowly; what hangs is still found.
  vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
  describe(`${name}: a sandbox provider`, () => {
    const session = "sesn_suite";
    let subject: SandboxUnderTest;
    let provider: SandboxProvider;
    let hand: Hand;
    // The parts are described before anything exists, so they reach it through this.
    const bench: Bench = {
      session,
      get subject() {
        return subject;
      },
      get provider() {
        return provider;
      },
      get hand() {
        return hand;
      },
      bash: (command: string, more: Fields = {}) => runTool(hand, "bash", { command, ...more }),
    };

    beforeAll(async () => {
      subject = await setUp();
      provider = subject.open();
      ({ hand } = await provider.provision(provisionRequest(session)));
    });
    afterAll(async () => {
      await provider.destroy(session);
      await provider.close();
      await subject.tearDown();
    });

    describe("bash", () => bashSuite(bench));
    describe("file tools", () => filesSuite(bench));
    describe("calls", () => callsSuite(bench));
    describe("a killed sandbox", () => killedSuite(bench));
    describe("what is attached", () => attachmentsSuite(bench));
    describe("provisioning and destroying", () => provisioningSuite(bench));
  });
}
