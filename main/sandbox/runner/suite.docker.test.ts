import { afterAll, beforeAll, describe } from "vitest";
import { SANDBOX_IMAGE } from "../docker/testing/real_engine.ts";
import { bashSuite } from "../testing/bash_suite.ts";
import type { Bench } from "../testing/bench.ts";
import { callsSuite, killedSuite } from "../testing/calls_suite.ts";
import { filesSuite } from "../testing/files_suite.ts";
import { bareBench } from "./testing/bare_provider.ts";

describe("the runner alone, with bash", () => {
  let made: Awaited<ReturnType<typeof bareBench>>;
  // The parts are described before anything exists, so they reach it through this.
  const bench: Bench = {
    session: "sesn_runner",
    get subject() {
      return made.subject;
    },
    get provider() {
      return made.provider;
    },
    get hand() {
      return made.hand;
    },
    bash: (command, more) => made.bash(command, more),
  };
  beforeAll(async () => {
    made = await bareBench(SANDBOX_IMAGE);
  });
  afterAll(() => made.end());

  describe("bash", () => bashSuite(bench));
  describe("file tools", () => filesSuite(bench));
  describe("calls", () => callsSuite(bench));
  describe("a killed container", () => killedSuite(bench));
});
