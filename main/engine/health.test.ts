import { expect, test } from "vitest";
import { EngineUnavailable } from "../sandbox/docker/discovery/connect.ts";
import type { EngineKnowledge } from "../sandbox/docker/find_engine.ts";
import { sandboxHealth } from "./health.ts";

const FOUND: EngineKnowledge = { state: "unasked", candidates: ["unix:///var/run/docker.sock"], problem: null };
const NOTHING: EngineKnowledge = { state: "unasked", candidates: [], problem: null };
const WRONG: EngineKnowledge = { state: "unasked", candidates: [], problem: "DOCKER_HOST is an ssh:// address." };
const SILENT: EngineKnowledge = {
  state: "unavailable",
  why: new EngineUnavailable("silent", "The container engine at unix:///x does not answer.", "Restart it."),
};
const ANSWERS: EngineKnowledge = {
  state: "answers",
  engine: {
    name: "Podman",
    version: "5.1",
    address: "unix:///x",
    api: "1.41",
    id: "",
    cpus: 2,
    memory: 1,
    runtimes: [],
    default_runtime: "",
  },
};

test.each<["docker" | "embedded" | null, EngineKnowledge, string, string, RegExp]>([
  [null, FOUND, "docker", "ok", /expected at unix:\/\/\/var\/run\/docker\.sock/],
  [null, ANSWERS, "docker", "ok", /Podman 5\.1 at unix:\/\/\/x/],
  [null, NOTHING, "embedded", "degraded", /no git.*Install and start Docker/],
  [null, WRONG, "embedded", "degraded", /ssh:\/\//],
  [null, SILENT, "embedded", "degraded", /does not answer\. Restart it\./],
  ["docker", NOTHING, "docker", "missing", /tools fail until there is one.*Install/],
  ["docker", SILENT, "docker", "missing", /does not answer/],
  ["embedded", ANSWERS, "embedded", "degraded", /It was chosen/],
])("forced %s, engine %o: %s", (forced, knowledge, provider, state, words) => {
  const health = sandboxHealth({ forced, known: () => knowledge });
  expect(health).toMatchObject({ provider, state });
  expect(`${health.summary} ${health.advice ?? ""}`).toMatch(words);
});

test("what was chosen by hand asks nothing", () => {
  const known = (): never => {
    throw new Error("asked");
  };
  expect(sandboxHealth({ forced: "embedded", known }).provider).toBe("embedded");
});
