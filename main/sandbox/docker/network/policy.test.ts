import { expect, test } from "vitest";
import { allowingRule, egressPolicy, unreachableCredentials } from "./policy.ts";
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
  expect(allowingRule({ type: "cloud", packages, networking: { type: "unrestricted" } }, "a.test")).toBe(
    "unrestricted",
  );
});

test("no registry is a wildcard, or serves what anyone uploads beside packages", () => {
  expect(PACKAGE_REGISTRIES.filter((host) => host.includes("*") || /github|googleapis|amazonaws/.test(host))).toEqual(
    [],
  );
});

test.each([
  ["api.a.test", "api.a.test", true],
  ["API.a.test", "api.A.test", true],
  ["api.a.test", "*.a.test", true],
  ["a.test", "*.a.test", false],
  ["*.a.test", "api.a.test", true],
  ["*.a.test", "*.a.test", true],
  ["*.b.a.test", "*.a.test", true],
  ["*.a.test", "*.b.a.test", true],
  ["*.a.test", "a.test", false],
  ["*.a.test", "*.ba.test", false],
  ["8.8.8.8", "8.8.8.8", true],
  ["pypi.org", "other.test", true],
])("a credential for %s in a sandbox that reaches %s and registries can be used: %s", (host, allowed, reachable) => {
  const credential = { vault_id: "vlt_1", credential_id: "vcrd_1", secret_id: "0", issuer: "TOKEN" };
  const found = unreachableCredentials(limited([allowed], true), [{ credential, hosts: ["pypi.org", host] }]);
  expect(found).toEqual(reachable ? [] : [{ vault_id: "vlt_1", credential_id: "vcrd_1", hosts: [host] }]);
});

test("a credential for every host, and an unrestricted network, disagree with nothing", () => {
  const credential = { vault_id: "vlt_1", credential_id: "vcrd_1", secret_id: "0", issuer: "TOKEN" };
  expect(unreachableCredentials(limited([], false), [{ credential, hosts: null }])).toEqual([]);
  const open = { type: "cloud", packages, networking: { type: "unrestricted" } } as const;
  expect(unreachableCredentials(open, [{ credential, hosts: ["a.test"] }])).toEqual([]);
});
