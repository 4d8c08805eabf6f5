import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { refusalOf } from "../../testing/rig.ts";
import { BEARER, startVaultRig, VARIABLE, type VaultRig } from "./testing/vault_rig.ts";

let it: VaultRig;
beforeAll(async () => {
  it = await startVaultRig();
});
afterAll(async () => {
  expect(it.rig.failures).toEqual([]);
  await it[Symbol.asyncDispose]();
});

describe("vaults", () => {
  test("a new vault, and the same one retrieved", async () => {
    const vault = await it.vaults.create({ display_name: "work", metadata: { team: "a" } });
    expect(vault).toEqual({
      id: expect.stringMatching(/^vlt_/),
      type: "vault",
      display_name: "work",
      metadata: { team: "a" },
      created_at: expect.any(String),
      updated_at: vault.created_at,
      archived_at: null,
    });
    expect(await it.vaults.retrieve(vault.id)).toEqual(vault);
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["no name", {}, /`display_name` is required/],
    ["an empty name", { display_name: "" }, /`display_name` must not be empty/],
    [
      "a long name",
      { display_name: "x".repeat(256) },
      /`display_name` must have at most 255 characters \(it has 256\)/,
    ],
    ["unknown fields", { display_name: "x", colour: 1 }, /Unknown field `colour`/],
    [
      "too many pairs",
      { display_name: "x", metadata: Object.fromEntries([..."abcdefghijklmnopq"].map((key) => [key, ""])) },
      /`metadata` must have at most 16 pairs/,
    ],
    ["a long value", { display_name: "x", metadata: { a: "x".repeat(513) } }, /`metadata\.a` must have at most 512/],
  ])("refuses %s", async (_, body, text) => {
    const answer = await it.rig.request("/v1/vaults", { method: "POST", body });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as { error: { message: string } }).error.message).toMatch(text);
  });

  test("an update merges metadata; nothing and null change nothing", async () => {
    const made = await it.vaults.create({ display_name: "a", metadata: { keep: "1", drop: "2" } });
    const updated = await it.vaults.update(made.id, { display_name: "b", metadata: { drop: null, add: "3" } });
    expect(updated).toMatchObject({ display_name: "b", metadata: { keep: "1", add: "3" } });
    expect(await it.vaults.update(made.id, {})).toEqual(updated);
    expect(await it.vaults.update(made.id, { display_name: null, metadata: null })).toEqual(updated);
    const many = Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`k${index}`, ""]));
    const error = await refusalOf(it.vaults.update(made.id, { metadata: many }));
    expect([error.status, error.errorCode]).toEqual([400, "invalid_metadata"]);
  });

  test("an unknown vault is 404 for every method", async () => {
    const calls = [
      () => it.vaults.retrieve("vlt_none"),
      () => it.vaults.update("vlt_none", {}),
      () => it.vaults.archive("vlt_none"),
      () => it.vaults.delete("vlt_none"),
      () => it.vaults.credentials.list("vlt_none"),
      () => it.vaults.credentials.create("vlt_none", BEARER),
    ];
    for (const call of calls) {
      const error = await refusalOf(call());
      expect([error.status, error.type, error.message]).toEqual([
        404,
        "not_found_error",
        expect.stringContaining("vlt_none"),
      ]);
    }
  });

  test("archive takes the credentials along and purges their values; twice is the same as once", async () => {
    const id = await it.vault();
    const credential = await it.vaults.credentials.create(id, BEARER);
    const before = it.sealed();
    const archived = await it.vaults.archive(id);
    expect(archived.archived_at).toEqual(expect.any(String));
    expect(await it.vaults.archive(id)).toEqual(archived);
    expect(await it.vaults.credentials.retrieve(credential.id, { vault_id: id })).toMatchObject({
      archived_at: archived.archived_at,
      auth: { type: "static_bearer" },
    });
    expect(before).toHaveLength(it.sealed().length + 1);
    for (const call of [
      () => it.vaults.update(id, { display_name: "x" }),
      () => it.vaults.credentials.create(id, VARIABLE),
      () => it.vaults.credentials.update(credential.id, { vault_id: id, display_name: "x" }),
    ]) {
      const error = await refusalOf(call());
      expect([error.status, error.message]).toEqual([400, expect.stringContaining("archived")]);
    }
  });

  test("delete takes credentials and values along for good", async () => {
    const id = await it.vault();
    const before = it.sealed();
    const first = await it.vaults.credentials.create(id, BEARER);
    await it.vaults.credentials.archive(first.id, { vault_id: id });
    const second = await it.vaults.credentials.create(id, BEARER);
    expect(await it.vaults.delete(id)).toEqual({ id, type: "vault_deleted" });
    expect(it.sealed()).toEqual(before);
    expect((await refusalOf(it.vaults.retrieve(id))).status).toBe(404);
    expect((await refusalOf(it.vaults.credentials.retrieve(second.id, { vault_id: id }))).status).toBe(404);
    for (const { id: gone } of [first, second]) expect(await it.records.get("credential", gone)).toBeNull();
  });

  test("lists are paged, newest first, without archived ones unless they are asked for", async () => {
    await using own = await startVaultRig();
    const ids: string[] = [];
    for (const display_name of ["a", "b", "c"]) ids.unshift((await own.vaults.create({ display_name })).id);
    const [newest = "", archived = "", oldest = ""] = ids;
    await own.vaults.archive(archived);
    const listed: string[] = [];
    for await (const vault of own.vaults.list({ limit: 1 })) listed.push(vault.id);
    expect(listed).toEqual([newest, oldest]);
    expect((await own.vaults.list({ include_archived: true })).data.map(({ id }) => id)).toEqual(ids);
    const error = await refusalOf(own.vaults.list({ page: "nonsense" }));
    expect([error.status, error.message]).toEqual([400, expect.stringContaining("invalid page cursor")]);
  });
});

describe("sessions", () => {
  test("name their vaults in order, and keep them", async () => {
    const vault_ids = [await it.vault(), await it.vault()].toReversed();
    const id = await it.rig.session({ vault_ids });
    expect((await it.rig.client.beta.sessions.retrieve(id)).vault_ids).toEqual(vault_ids);
    const error = await refusalOf(it.rig.client.beta.sessions.update(id, { vault_ids: [] }));
    expect([error.status, error.message]).toEqual([400, expect.stringContaining("`vault_ids` cannot be changed")]);
  });

  test("refuse vaults that are unknown, archived or named twice, and say which", async () => {
    const vault = await it.vault();
    const archived = await it.vault();
    await it.vaults.archive(archived);
    const cases = [
      [[vault, "vlt_none"], 404, /`vault_ids\[1\]`: vault "vlt_none" not found/],
      [[archived], 400, /`vault_ids\[0\]`: vault vlt_\w+ was archived/],
      [[vault, vault], 400, /`vault_ids\[1\]` names vault vlt_\w+ a second time/],
    ] as const;
    for (const [vault_ids, status, text] of cases) {
      const error = await refusalOf(it.rig.session({ vault_ids }));
      expect([error.status, error.apiMessage]).toEqual([status, expect.stringMatching(text)]);
    }
  });
});
