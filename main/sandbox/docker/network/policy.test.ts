import { expect, test } from "vitest";
import { allowingRule, egressPolicy } from "./policy.ts";
import { PACKAGE_REGISTRIES } from "./registries.ts";

const packages = { apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] };
const limited = (allowed_hosts: string[], allow_package_managers: boolean) =>
  ({
    type: "cloud",
    packages,
    networking: { type: "limited", allowed_hosts, allow_mcp_servers: true, allow_package_managers },
  }) as const;

test("allowed hosts, and the registries when package managers are allowed; MCP servers add nothing", () => {
  expect(egressPolicy(limited(["a.test"], false))).toEqual({ mode: "limited", allowed_hosts: ["a.test"] });
  const both = egressPolicy(limited(["a.test", "pypi.org"], true));
  expect(both).toEqual({ mode: "limited", allowed_hosts: [...new Set(["a.test", "pypi.org", ...PACKAGE_REGISTRIES])] });
});

test("unrestricted only when it says so; a configuration of another kind allows nothing", () => {
  expect(egressPolicy({ type: "cloud", packages, networking: { type: "unrestricted" } })).toEqual({
    mode: "unrestricted",
  });
  expect(egressPolicy({ type: "self_hosted" })).toEqual({ mode: "limited", allowed_hosts: [] });
});

test("the rule in words", () => {
  expect(allowingRule(limited(["*.a.test"], true), "x.a.test")).toBe("allowed_hosts: *.a.test");
  expect(allowingRule(limited([], true), "pypi.org")).toBe("allow_package_managers");
  expect(allowingRule(limited([], false), "pypi.org")).toBeNull();
});

test("no registry is a wildcard, or serves what anyone uploads beside packages", () => {
  expect(PACKAGE_REGISTRIES.filter((host) => host.includes("*") || /github|googleapis|amazonaws/.test(host))).toEqual(
    [],
  );
});
