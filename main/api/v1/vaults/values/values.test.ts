/** Records and sealed values stay together through crashes, a broker that is away, and a keychain that cannot be used. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { ApiError } from "../../../../contract/errors.ts";
import { LedgerWriteError } from "../../../../session/ledger.ts";
import { MemoryRecords } from "../../../../session/records/memory_records.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "../../../../vault/sealed/testing/keys.ts";
import { refusalOf } from "../../../testing/rig.ts";
import { BEARER, OAUTH, startVaultRig, VARIABLE } from "../testing/vault_rig.ts";
import { CredentialValues } from "./values.ts";

const away = () => Promise.reject(new ApiError("overloaded_error", "The broker is away.", "broker_away"));

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "longhaul-vaults-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

test("an engine that died between sealing and recording leaves a value that the next one removes", async () => {
  const [data_dir, records] = [folder(), new MemoryRecords()];
  let dying = false;
  {
    await using first = await startVaultRig({
      data_dir,
      records,
      around: (vault) => ({
        ...vault,
        // The process ends here: neither the record nor the removal of the value happens.
        seal: async (request) => {
          await vault.seal(request);
          if (dying) await new Promise(() => undefined);
        },
      }),
    });
    const vault = await first.vault();
    await first.vaults.credentials.create(vault, BEARER);
    dying = true;
    void first.vaults.credentials.create(vault, VARIABLE).catch(() => undefined);
    await vi.waitFor(() => expect(first.sealed()).toHaveLength(2));
    expect((await first.vaults.credentials.list(vault)).data).toHaveLength(1);
  }
  await using second = await startVaultRig({ data_dir, records });
  await vi.waitFor(() => expect(second.sealed()).toHaveLength(1));
  const [kept] = await records.list("credential", { limit: 10 });
  expect(kept?.body).toMatchObject({ secret_id: second.sealed()[0] });
});

test("a value whose record could not be stored is removed, and the credential before it is untouched", async () => {
  const records = new MemoryRecords();
  await using it = await startVaultRig({ records });
  const vault = await it.vault();
  const made = await it.vaults.credentials.create(vault, BEARER);
  const before = it.sealed();
  const write = vi.spyOn(records, "write").mockRejectedValue(new LedgerWriteError("disk full."));
  const params = { vault_id: vault, auth: { type: "static_bearer", token: "canary-2" } } as const;
  const error = await refusalOf(it.vaults.credentials.update(made.id, params));
  expect([error.type, error.apiMessage]).toEqual([
    "api_error",
    expect.stringContaining("Nothing of this request was stored"),
  ]);
  expect((await refusalOf(it.vaults.credentials.create(vault, VARIABLE))).type).toBe("api_error");
  write.mockRestore();
  expect(it.sealed()).toEqual(before);
  expect(await it.vaults.credentials.retrieve(made.id, { vault_id: vault })).toEqual(made);
});

test("a broker that is away refuses new values in words, and removes old ones when it is back", async () => {
  let down = false;
  await using it = await startVaultRig({
    around: (vault) => ({
      ...vault,
      seal: (request) => (down ? away() : vault.seal(request)),
      sealed: () => (down ? away() : vault.sealed()),
      purge: (ids) => (down ? away() : vault.purge(ids)),
      validate: (request) => (down ? away() : vault.validate(request)),
    }),
  });
  const vault = await it.vault();
  const made = await it.vaults.credentials.create(vault, BEARER);
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  down = true;
  const error = await refusalOf(it.vaults.credentials.create(vault, VARIABLE));
  expect([error.status, error.type, error.errorCode]).toEqual([529, "overloaded_error", "broker_away"]);
  expect((await it.vaults.credentials.list(vault)).data).toHaveLength(1);
  await it.vaults.credentials.delete(made.id, { vault_id: vault });
  expect(it.sealed()).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(it.sealed()).toHaveLength(1);
  down = false;
  await vi.advanceTimersByTimeAsync(10_000);
  vi.useRealTimers();
  await vi.waitFor(() => expect(it.sealed()).toEqual([]));
});

test("a real broker that is not there is one that is away", async () => {
  await using it = await startVaultRig();
  const vault = await it.vault();
  await it.broker.close();
  const error = await refusalOf(it.vaults.credentials.create(vault, BEARER));
  expect([error.status, error.errorCode, error.apiMessage]).toEqual([
    529,
    "broker_away",
    expect.stringContaining("being restarted"),
  ]);
  expect(error.apiMessage).not.toContain("canary");
});

test("a sweep does not take a value whose record is being written", async () => {
  const records = new MemoryRecords();
  let listed: (() => void) | null = null;
  await using it = await startVaultRig({
    records,
    around: (vault) => ({
      ...vault,
      // The sweep at the start reads the list only when it is told to, which is after the value was sealed.
      sealed: async () => {
        await new Promise<void>((resolve) => (listed = resolve));
        return vault.sealed();
      },
    }),
  });
  const vault = await it.vault();
  const insert = records.write.bind(records);
  const purged = vi.spyOn(it.rig.ports.vault, "purge");
  vi.spyOn(records, "write").mockImplementationOnce(async (writes) => {
    listed?.();
    // Time for the sweep to look at everything before this record is there.
    await new Promise((resolve) => setTimeout(resolve, 100));
    await insert(writes);
  });
  const made = await it.vaults.credentials.create(vault, BEARER);
  expect(it.sealed()).toHaveLength(1);
  expect(purged).not.toHaveBeenCalled();
  expect((await records.get("credential", made.id))?.body).toMatchObject({ secret_id: it.sealed()[0] });
});

test("a sweep leaves what the broker keeps for itself, and no purge reaches it", async () => {
  await using it = await startVaultRig();
  await it.broker.control("PUT", "model", { base_url: "http://127.0.0.1:9", api_key: "canary-model-1" });
  await it.broker.control("PUT", "credentials", {
    vault_id: "vlt_01aaaaaaaaaaaaaaaaaaaaaa",
    ...{ credential_id: "vcrd_01aaaaaaaaaaaaaaaaaaaaaa", secret_id: "a".repeat(32), from: null },
    ...{ auth: BEARER.auth, secrets: { token: "canary-left" } },
  });
  expect(it.sealed()).toEqual(["model", "a".repeat(32)]);
  await new CredentialValues(it.records, it.rig.ports.vault).sweep();
  expect(it.sealed()).toEqual(["model"]);
  expect((await it.broker.control("POST", "credentials/purge", { secret_ids: ["model"] })).status).toBe(400);
  expect(it.sealed()).toEqual(["model"]);
});

test("without a keychain and a passphrase only credentials are refused, with what to install", async () => {
  const fake = fakeKeychain();
  fake.mode = "missing";
  await using it = await startVaultRig({ keys: { keychain: keychainKeys(fake), passphrase: null } });
  const vault = await it.vault();
  const error = await refusalOf(it.vaults.credentials.create(vault, BEARER));
  expect([error.status, error.type, error.errorCode]).toEqual([400, "invalid_request_error", "keychain_missing"]);
  expect(error.apiMessage).toMatch(/LONGHAUL_VAULT_PASSPHRASE/);
  expect((await it.vaults.credentials.list(vault)).data).toEqual([]);
  expect(it.file()).toBe("");
  await it.vaults.update(vault, { display_name: "still works" });
  await it.rig.session({ vault_ids: [vault] });
});

test("a locked keychain refuses a change and leaves the credential as it is; deleting needs no key", async () => {
  const fake = fakeKeychain();
  const [data_dir, records] = [folder(), new MemoryRecords()];
  const keys = () => ({ keychain: keychainKeys(fake), passphrase: null });
  let vault_id = "";
  let id = "";
  {
    await using first = await startVaultRig({ data_dir, records, keys: keys() });
    vault_id = await first.vault();
    ({ id } = await first.vaults.credentials.create(vault_id, BEARER));
  }
  fake.mode = "locked";
  await using it = await startVaultRig({ data_dir, records, keys: keys() });
  const params = { vault_id, auth: { type: "static_bearer", token: "canary-2" } } as const;
  const error = await refusalOf(it.vaults.credentials.update(id, params));
  expect([error.status, error.errorCode]).toEqual([400, "keychain_locked"]);
  expect((await it.vaults.credentials.update(id, { vault_id, display_name: "name only" })).display_name).toBe(
    "name only",
  );
  await it.vaults.credentials.delete(id, { vault_id });
  expect(it.sealed()).toEqual([]);
});

test("a credential whose key is gone is mended by a whole new value, and by nothing less", async () => {
  const fake = fakeKeychain();
  const [data_dir, records] = [folder(), new MemoryRecords()];
  const keys = () => ({ keychain: keychainKeys(fake), passphrase: null });
  let vault_id = "";
  let ids: string[] = [];
  {
    await using first = await startVaultRig({ data_dir, records, keys: keys() });
    vault_id = await first.vault();
    for (const params of [BEARER, OAUTH, VARIABLE]) {
      ids = [...ids, (await first.vaults.credentials.create(vault_id, params)).id];
    }
  }
  fake.items.clear();
  await using it = await startVaultRig({ data_dir, records, keys: keys() });
  const [bearer = "", oauth = "", variable = ""] = ids;
  const update = (id: string, auth: NonNullable<Parameters<typeof it.vaults.credentials.update>[1]["auth"]>) =>
    it.vaults.credentials.update(id, { vault_id, auth });
  const less = await refusalOf(update(oauth, { type: "mcp_oauth", access_token: "canary-2" }));
  expect([less.status, less.errorCode]).toEqual([400, "key_missing"]);
  const narrower = { type: "environment_variable", networking: { type: "unrestricted" } } as const;
  expect((await refusalOf(update(variable, narrower))).errorCode).toBe("key_missing");
  await update(bearer, { type: "static_bearer", token: "canary-2" });
  await update(variable, { ...narrower, secret_value: "canary-2" });
  const client = { type: "client_secret_basic", client_secret: "canary-2" } as const;
  const refresh = { refresh_token: "canary-2", token_endpoint_auth: client };
  await update(oauth, { type: "mcp_oauth", access_token: "canary-2", refresh });
  await update(oauth, { type: "mcp_oauth", access_token: "canary-3" });
  expect(it.sealed()).toHaveLength(3);
});

test("the wrong passphrase is refused by every change of a value, and loses none", async () => {
  const [data_dir, records] = [folder(), new MemoryRecords()];
  const keys = (passphrase: string) => ({
    keychain: keychainKeys(fakeKeychain()),
    passphrase: cheapPassphrase(passphrase),
  });
  let vault = "";
  let before = "";
  {
    await using first = await startVaultRig({ data_dir, records, keys: keys("the right one") });
    vault = await first.vault();
    await first.vaults.credentials.create(vault, BEARER);
    before = first.file();
  }
  await using it = await startVaultRig({ data_dir, records, keys: keys("another one") });
  const error = await refusalOf(it.vaults.credentials.create(vault, VARIABLE));
  expect([error.status, error.errorCode]).toEqual([400, "passphrase_wrong"]);
  expect(it.file()).toBe(before);
});
