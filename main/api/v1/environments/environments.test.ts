import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

let count = 0;
function name(): string {
  count += 1;
  return `env ${count}`;
}
const NO_PACKAGES = { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] };

describe("create", () => {
  test("an environment that says nothing is cloud, unrestricted, without packages", async () => {
    const own = name();
    const environment = await rig.client.beta.environments.create({ name: own });
    expect(environment).toEqual({
      id: expect.stringMatching(/^env_/),
      type: "environment",
      name: own,
      description: null,
      config: { type: "cloud", networking: { type: "unrestricted" }, packages: NO_PACKAGES },
      metadata: {},
      scope: "organization",
      created_at: expect.any(String),
      updated_at: environment.created_at,
      archived_at: null,
    });
    expect(await rig.client.beta.environments.retrieve(environment.id)).toEqual(environment);
  });

  test("a limited network is written out whole", async () => {
    const { config } = await rig.client.beta.environments.create({
      name: name(),
      config: { type: "cloud", networking: { type: "limited", allowed_hosts: ["*.example.com"] } },
    });
    expect(config).toMatchObject({
      networking: {
        type: "limited",
        allow_mcp_servers: false,
        allow_package_managers: false,
        allowed_hosts: ["*.example.com"],
      },
    });
  });

  test("a taken name is a final conflict, unless its owner is archived", async () => {
    const own = name();
    const first = await rig.client.beta.environments.create({ name: own });
    const error = await refusalOf(rig.client.beta.environments.create({ name: own }));
    expect(error.type).toBe("conflict_error");
    expect(error.headers?.get("x-should-retry")).toBe("false");
    await rig.client.beta.environments.archive(first.id);
    await rig.client.beta.environments.create({ name: own });
  });

  test.each<[string, Record<string, unknown>, RegExp, string?]>([
    ["unknown fields", { colour: 1 }, /Unknown field `colour`/],
    [
      "a URL as a host",
      { config: { type: "cloud", networking: { type: "limited", allowed_hosts: ["https://a.b"] } } },
      /allowed_hosts\[0\]` must be a host name/,
    ],
    [
      "packages that cannot be fetched",
      { config: { type: "cloud", networking: { type: "limited" }, packages: { npm: ["x"] } } },
      /allow_package_managers/,
    ],
    ["another scope", { scope: "account" }, /`scope` must be "organization"/],
    [
      "too much metadata",
      { metadata: { a: "x".repeat(513) } },
      /`metadata\.a` must have at most 512/,
      "invalid_metadata",
    ],
    [
      "a setting of sandboxes that makes no sense",
      { metadata: { "longhaul.memory": "lots" } },
      /`metadata\.longhaul\.memory` must be a size from "64m" to "4t", such as "512m" or "4g"/,
      "invalid_metadata",
    ],
    [
      "a setting of sandboxes that does not exist",
      { metadata: { "longhaul.memroy": "4g" } },
      /`metadata\.longhaul\.memroy` is not a setting of a sandbox; those are .*longhaul\.memory/,
      "invalid_metadata",
    ],
  ])("refuses %s", async (_, fields, text, code) => {
    const answer = await rig.request("/v1/environments", { method: "POST", body: { name: name(), ...fields } });
    const { error } = (await answer.json()) as { error: { message: string; details?: { error_code: string } } };
    expect(error.message).toMatch(text);
    expect(error.details?.error_code).toBe(code);
    expect(answer.status).toBe(400);
  });
});

describe("update", () => {
  test("merges level by level; a null or empty metadata value deletes the key", async () => {
    const { id } = await rig.client.beta.environments.create({
      name: name(),
      description: "d",
      metadata: { a: "1", b: "2", c: "3" },
      config: {
        type: "cloud",
        networking: { type: "limited", allow_package_managers: true, allowed_hosts: ["a.b"] },
        packages: { npm: ["x"], pip: ["y"] },
      },
    });
    const after = await rig.client.beta.environments.update(id, {
      metadata: { a: null, b: "" },
      config: { type: "cloud", networking: { type: "limited", allowed_hosts: ["c.d"] }, packages: { npm: [] } },
    });
    expect(after.description).toBe("d");
    expect(after.metadata).toEqual({ c: "3" });
    expect(after.config).toEqual({
      type: "cloud",
      networking: { type: "limited", allow_mcp_servers: false, allow_package_managers: true, allowed_hosts: ["c.d"] },
      packages: { ...NO_PACKAGES, pip: ["y"] },
    });
    expect(await rig.client.beta.environments.update(id, {})).toEqual(after);
  });

  test("a wrong setting of sandboxes changes nothing; one that is there can be taken away", async () => {
    const { id } = await rig.client.beta.environments.create({ name: name(), metadata: { "longhaul.cpus": "2" } });
    const wrong = await refusalOf(rig.client.beta.environments.update(id, { metadata: { "longhaul.cpus": "many" } }));
    expect([wrong.status, wrong.errorCode]).toEqual([400, "invalid_metadata"]);
    expect((await rig.client.beta.environments.retrieve(id)).metadata).toEqual({ "longhaul.cpus": "2" });
    const cleared = await rig.client.beta.environments.update(id, { metadata: { "longhaul.cpus": null } });
    expect(cleared.metadata).toEqual({});
  });

  test("a rename to a taken name is a conflict and changes nothing; to its own name it is none", async () => {
    const [taken, own] = [name(), name()];
    await rig.client.beta.environments.create({ name: taken });
    const { id } = await rig.client.beta.environments.create({ name: own });
    const error = await refusalOf(rig.client.beta.environments.update(id, { name: taken, description: "x" }));
    expect([error.status, error.type, error.headers?.get("x-should-retry")]).toEqual([409, "conflict_error", "false"]);
    expect(await rig.client.beta.environments.retrieve(id)).toMatchObject({ name: own, description: null });
    expect((await rig.client.beta.environments.update(id, { name: own })).name).toBe(own);
    expect((await rig.client.beta.environments.update(id, { name: null, scope: "organization" })).name).toBe(own);
  });

  test("packages and a limited network are looked at together, whichever comes last", async () => {
    const { environments } = rig.client.beta;
    const packages = { npm: ["left-pad"] };
    const open = await environments.create({ name: name(), config: { type: "cloud", packages } });
    const limit = { type: "cloud" as const, networking: { type: "limited" as const } };
    expect((await refusalOf(environments.update(open.id, { config: limit }))).message).toContain(
      "allow_package_managers",
    );
    const closed = await environments.create({ name: name(), config: limit });
    expect((await refusalOf(environments.update(closed.id, { config: { type: "cloud", packages } }))).status).toBe(400);
    const both = { type: "limited" as const, allow_package_managers: true };
    const after = await environments.update(closed.id, { config: { type: "cloud", packages, networking: both } });
    expect(after.config).toMatchObject({ networking: both, packages });
    // Taking the right away again while the packages are there is refused too.
    const taken = { type: "limited" as const, allow_package_managers: false };
    expect(
      (await refusalOf(environments.update(closed.id, { config: { type: "cloud", networking: taken } }))).status,
    ).toBe(400);
    const free = await environments.update(closed.id, {
      config: { type: "cloud", networking: { type: "unrestricted" } },
    });
    expect(free.config).toMatchObject({ networking: { type: "unrestricted" }, packages });
  });

  test("null clears the description, an empty text is kept as one", async () => {
    const { id } = await rig.client.beta.environments.create({ name: name(), description: "d" });
    expect((await rig.client.beta.environments.update(id, { description: "" })).description).toBe("");
    expect((await rig.client.beta.environments.update(id, { description: null })).description).toBeNull();
  });

  test("archived ones are listed when asked for, and may be deleted", async () => {
    const { environments } = rig.client.beta;
    const { id } = await environments.create({ name: name() });
    const archived = await environments.archive(id);
    expect(await environments.archive(id)).toEqual(archived);
    const listed = async (include_archived: boolean) =>
      (await environments.list({ include_archived, limit: 1000 })).data.some((each) => each.id === id);
    expect([await listed(false), await listed(true)]).toEqual([false, true]);
    expect(await environments.delete(id)).toEqual({ id, type: "environment_deleted" });
    expect(await listed(true)).toBe(false);
  });

  test("the type cannot change, and an archived one is read-only, each with its error code", async () => {
    const { id } = await rig.client.beta.environments.create({ name: name() });
    const change = await refusalOf(rig.client.beta.environments.update(id, { config: { type: "self_hosted" } }));
    expect([change.status, change.errorCode]).toEqual([400, "invalid_config_type_change"]);
    await rig.client.beta.environments.archive(id);
    const archived = await refusalOf(rig.client.beta.environments.update(id, { description: null }));
    expect([archived.status, archived.errorCode]).toEqual([400, "environment_archived"]);
  });
});

test("delete, list and the errors of what does not exist", async () => {
  await using own = await startRig();
  const made = [];
  for (const name of ["a", "b", "c"]) made.unshift(await own.client.beta.environments.create({ name }));
  const [c, b, a] = made.map((environment) => environment.id);
  expect(await own.client.beta.environments.delete(b ?? "")).toEqual({ id: b, type: "environment_deleted" });
  const listed: string[] = [];
  for await (const environment of own.client.beta.environments.list({ limit: 1 })) listed.push(environment.id);
  expect(listed).toEqual([c, a]);
  const { environments } = own.client.beta;
  for (const call of [
    () => environments.retrieve(b ?? ""),
    () => environments.update("env_none", {}),
    () => environments.delete("env_none"),
    () => environments.archive("env_none"),
  ]) {
    const error = await refusalOf(call());
    expect([error.status, error.errorCode]).toEqual([404, "environment_not_found"]);
  }
});
