import { describe, expect, it } from "vitest";
import { draftOf, type EnvironmentDraft, hostsOf, NEW_DRAFT, nameOf, paramsOf, problemsOf } from "./draft.ts";

const draft = (patch: Partial<EnvironmentDraft>): EnvironmentDraft => ({ ...NEW_DRAFT, ...patch });
const none = new Set<string>();

describe("a new environment", () => {
  it("proposes package registries and nothing else", () => {
    expect(paramsOf(NEW_DRAFT, none)).toEqual({
      name: "Automatic, registries",
      config: {
        type: "cloud",
        networking: { type: "limited", allowed_hosts: [], allow_package_managers: true, allow_mcp_servers: false },
      },
      metadata: {},
    });
    expect(problemsOf(NEW_DRAFT)).toEqual({});
  });

  it("carries the choices as the contract and the settings want them", () => {
    const params = paramsOf(
      draft({
        sandbox: "docker",
        hosts: "https://api.example.com/v1\n*.example.org, api.example.com:8443",
        packages: { ...NEW_DRAFT.packages, apt: "jq  sqlite3", pip: "numpy==2.3.0" },
        image: " debian:12 ",
        memory: "6g",
      }),
      none,
    );
    expect(params.config).toMatchObject({
      networking: { type: "limited", allowed_hosts: ["api.example.com", "*.example.org"] },
      packages: { apt: ["jq", "sqlite3"], pip: ["numpy==2.3.0"] },
    });
    expect(params.metadata).toEqual({
      "longhaul.sandbox": "docker",
      "longhaul.image": "debian:12",
      "longhaul.memory": "6g",
    });
    expect(params.name).toBe("Docker, registries and 2 hosts, debian:12");
  });

  it("of the embedded kind has no network, packages or limits, whatever was typed before", () => {
    const params = paramsOf(
      draft({
        sandbox: "embedded",
        network: "unrestricted",
        memory: "6g",
        packages: { ...NEW_DRAFT.packages, apt: "jq" },
      }),
      none,
    );
    expect(params.config).toMatchObject({ networking: { type: "limited" } });
    expect(params.config).not.toHaveProperty("packages");
    expect(params.metadata).toEqual({ "longhaul.sandbox": "embedded" });
    expect(problemsOf(draft({ sandbox: "embedded", memory: "much" }))).toEqual({});
  });

  it("takes a name that is free", () => {
    expect(paramsOf(NEW_DRAFT, new Set(["Automatic, registries"])).name).toBe("Automatic, registries (2)");
    expect(nameOf(draft({ name: " Mine ", sandbox: "docker" }))).toBe("Mine");
    expect(nameOf(draft({ registries: false }))).toBe("Automatic, no network");
  });

  it.each([
    [{ hosts: "not_a_host" }, "hosts", "not_a_host"],
    [{ memory: "4 gigs" }, "memory", "512m"],
    [{ cpus: "many" }, "cpus", "0.5"],
    [{ pids: "3" }, "pids", "32"],
    [{ image: "Bad Image" }, "image", "debian:12"],
    [{ runtime: "a b" }, "runtime", "runsc"],
    [{ registries: false, packages: { ...NEW_DRAFT.packages, npm: "x" } }, "packages", "registries"],
  ] as const)("names the field of %j and how to fix it", (patch, field, words) => {
    const problems = problemsOf(draft(patch));
    expect(Object.keys(problems)).toEqual([field]);
    expect(problems[field]).toContain(words);
  });

  it("does not ask for hosts of an open network", () => {
    expect(problemsOf(draft({ network: "unrestricted", hosts: "not_a_host" }))).toEqual({});
  });

  it("can be copied from an environment, and made the same again", () => {
    const before = draft({ sandbox: "docker", hosts: "a.example", cpus: "2", name: "Same", image: "debian:12" });
    const { config, metadata } = paramsOf(before, none);
    const environment = { id: "env_1", name: "Same", config, metadata } as unknown as Parameters<typeof draftOf>[0];
    expect(draftOf(environment)).toEqual({ ...before, name: "" });
    expect(hostsOf("")).toEqual([]);
  });
});
