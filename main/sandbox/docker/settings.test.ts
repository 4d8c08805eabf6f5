import { describe, expect, test } from "vitest";
import { environmentCreate, environmentUpdate } from "../../contract/schemas/environments.ts";
import { parseWith } from "../../contract/schemas/issues.ts";
import { SandboxLost } from "../port.ts";
import { sandboxSettings } from "./settings.ts";

const GIB = 1024 ** 3;

test("defaults, and never more processors than the engine has", () => {
  const defaults = { image: null, runtime: null, memory_bytes: 4 * GIB, nano_cpus: 2e9, pids: 512 };
  expect(sandboxSettings(undefined)).toEqual(defaults);
  expect(sandboxSettings({ team: "a" }, 8)).toEqual(defaults);
  expect(sandboxSettings({}, 1).nano_cpus).toBe(1e9);
  expect(sandboxSettings({ "longhaul.cpus": "16" }, 4).nano_cpus).toBe(4e9);
});

test("every key is read", () => {
  const metadata = {
    "longhaul.sandbox": "docker",
    "longhaul.image": "registry.example.com:5000/team/image:1.2",
    "longhaul.runtime": "runsc",
    "longhaul.memory": "1.5g",
    "longhaul.cpus": "0.5",
    "longhaul.pids": "100",
  };
  expect(sandboxSettings(metadata)).toEqual({
    image: "registry.example.com:5000/team/image:1.2",
    runtime: "runsc",
    memory_bytes: 1.5 * GIB,
    nano_cpus: 5e8,
    pids: 100,
  });
});

describe("wrong values", () => {
  const wrong: [string, string, RegExp][] = [
    ["longhaul.sandbox", "podman", /must be "docker" or "embedded"/],
    ["longhaul.image", "Debian:12", /name of an image in lower case/],
    ["longhaul.image", "a b", /name of an image/],
    ["longhaul.image", `${"a".repeat(300)}`, /name of an image/],
    ["longhaul.image", "https://x.y/z", /name of an image/],
    ["longhaul.runtime", "-x", /name of a runtime/],
    ["longhaul.memory", "4", /size from "64m" to "4t"/],
    ["longhaul.memory", "1m", /size from/],
    ["longhaul.memory", "999999g", /size from/],
    ["longhaul.memory", "lots", /size from/],
    ["longhaul.cpus", "0", /number of processors/],
    ["longhaul.cpus", "1e3", /number of processors/],
    ["longhaul.cpus", "NaN", /number of processors/],
    ["longhaul.pids", "1", /whole number of processes/],
    ["longhaul.pids", "2.5", /whole number of processes/],
    ["longhaul.memroy", "4g", /is not a setting of a sandbox; those are .*longhaul\.memory/],
    ["longhaul.__proto__", "4g", /is not a setting/],
  ];

  test.each(wrong)("%s = %s is a 400 at create and update, and a SandboxLost later", (key, value, rule) => {
    const bodies = [
      () => parseWith(environmentCreate, { name: "e", metadata: { [key]: value } }, "The request body"),
      () => parseWith(environmentUpdate, { metadata: { [key]: value } }, "The request body"),
    ];
    for (const parse of bodies) {
      expect(parse).toThrow(rule);
      expect(parse).toThrow(`\`metadata.${key}\` `);
    }
    expect(() => sandboxSettings({ [key]: value })).toThrow(SandboxLost);
    expect(() => sandboxSettings({ [key]: value })).toThrow(rule);
  });

  test("a key can be taken away whatever it is, and other metadata is nobody's business", () => {
    const parse = (metadata: object) => parseWith(environmentUpdate, { metadata }, "The request body").metadata;
    expect(parse({ "longhaul.memroy": null, "longhaul.cpus": "", team: "4 g" })).toEqual({
      "longhaul.memroy": null,
      "longhaul.cpus": "",
      team: "4 g",
    });
  });

  test("a hostile name of an image is refused at once", () => {
    const started = performance.now();
    expect(() => sandboxSettings({ "longhaul.image": `${"a-".repeat(120)}!` })).toThrow(SandboxLost);
    expect(() => sandboxSettings({ "longhaul.image": `${"a".repeat(250)}!` })).toThrow(SandboxLost);
    expect(performance.now() - started).toBeLessThan(200);
  });
});
