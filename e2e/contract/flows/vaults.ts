/** `client.beta.vaults` and `.vaults.credentials`. */
import { describe, expect, test } from "vitest";
import { all, refused, type Use, unique } from "../stand.ts";

const SECRET = "contract-secret-value-31415";

export function vaultFlows(use: Use): void {
  describe("vaults", () => {
    test("create, retrieve, update, list, archive, delete", async () => {
      const { vaults } = use().client.beta;
      const display_name = unique("vault");
      const made = await vaults.create({ display_name, metadata: { a: "1" } });
      expect(made).toMatchObject({ display_name, metadata: { a: "1" }, archived_at: null, type: "vault" });
      expect(await vaults.retrieve(made.id)).toEqual(made);
      const updated = await vaults.update(made.id, {
        display_name: `${display_name} 2`,
        metadata: { a: null, b: "2" },
      });
      expect(updated).toMatchObject({ display_name: `${display_name} 2`, metadata: { b: "2" } });
      const other = await vaults.create({ display_name: unique("vault") });
      expect((await all(vaults.list({ limit: 1 }))).map(({ id }) => id).slice(0, 2)).toEqual([other.id, made.id]);
      expect((await vaults.archive(made.id)).archived_at).not.toBeNull();
      expect((await all(vaults.list())).map(({ id }) => id)).not.toContain(made.id);
      expect((await all(vaults.list({ include_archived: true }))).map(({ id }) => id)).toContain(made.id);
      expect(await vaults.delete(made.id)).toEqual({ id: made.id, type: "vault_deleted" });
      await refused(vaults.retrieve(made.id), 404);
    });

    test("refusals", async () => {
      const { vaults } = use().client.beta;
      expect((await refused(vaults.create({ display_name: "" }), 400)).message).toContain("display_name");
      await refused(vaults.retrieve("vlt_none"), 404);
      await refused(vaults.update("vlt_none", { display_name: "x" }), 404);
      await refused(vaults.list({ limit: 0 }), 400);
      await refused(vaults.archive("vlt_none"), 404);
      await refused(vaults.delete("vlt_none"), 404);
    });
  });

  describe("credentials", () => {
    const newVault = async () => (await use().client.beta.vaults.create({ display_name: unique("vault") })).id;
    const bearer = (path: string) => ({
      type: "static_bearer" as const,
      token: SECRET,
      mcp_server_url: `http://127.0.0.1:9/${path}`,
    });

    test("create, retrieve, update, list, validate, archive, delete; the value is never shown", async () => {
      const { credentials } = use().client.beta.vaults;
      const vault_id = await newVault();
      const made = await credentials.create(vault_id, { auth: bearer("one"), display_name: "One" });
      expect(made).toMatchObject({ vault_id, display_name: "One", auth: { type: "static_bearer" }, archived_at: null });
      expect(await credentials.retrieve(made.id, { vault_id })).toEqual(made);
      const oauth = await credentials.create(vault_id, {
        auth: { type: "mcp_oauth", access_token: SECRET, mcp_server_url: "https://example.com/mcp" },
      });
      const variable = await credentials.create(vault_id, {
        auth: {
          type: "environment_variable",
          secret_name: "API_TOKEN",
          secret_value: SECRET,
          networking: { type: "limited", allowed_hosts: ["api.example.com"] },
        },
      });
      const updated = await credentials.update(made.id, {
        vault_id,
        auth: { type: "static_bearer", token: `${SECRET}2` },
      });
      expect(updated.auth.type).toBe("static_bearer");
      const listed = await all(credentials.list(vault_id, { limit: 2 }));
      expect(listed.map(({ id }) => id)).toEqual([variable.id, oauth.id, made.id]);
      expect(JSON.stringify([made, oauth, variable, updated, listed])).not.toContain(SECRET);
      expect(await credentials.mcpOAuthValidate(oauth.id, { vault_id })).toMatchObject({
        credential_id: oauth.id,
        vault_id,
      });
      expect((await credentials.archive(made.id, { vault_id })).archived_at).not.toBeNull();
      expect((await all(credentials.list(vault_id))).map(({ id }) => id)).toEqual([variable.id, oauth.id]);
      expect(await credentials.delete(oauth.id, { vault_id })).toEqual({
        id: oauth.id,
        type: "vault_credential_deleted",
      });
      await refused(credentials.retrieve(oauth.id, { vault_id }), 404);
    });

    test("refusals", async () => {
      const { credentials } = use().client.beta.vaults;
      const vault_id = await newVault();
      const made = await credentials.create(vault_id, { auth: bearer("one") });
      expect((await refused(credentials.create(vault_id, { auth: bearer("one") }), 409)).type).toBe("conflict_error");
      await refused(credentials.create(vault_id, { auth: { type: "static_bearer", token: SECRET } as never }), 400);
      await refused(credentials.create("vlt_none", { auth: bearer("two") }), 404);
      await refused(credentials.retrieve("vcrd_none", { vault_id }), 404);
      await refused(credentials.retrieve(made.id, { vault_id: await newVault() }), 404);
      await refused(credentials.update("vcrd_none", { vault_id, display_name: "x" }), 404);
      await refused(credentials.update(made.id, { vault_id, auth: { type: "mcp_oauth", access_token: SECRET } }), 400);
      await refused(credentials.list("vlt_none"), 404);
      await refused(credentials.mcpOAuthValidate("vcrd_none", { vault_id }), 404);
      await refused(credentials.archive("vcrd_none", { vault_id }), 404);
      await refused(credentials.delete("vcrd_none", { vault_id }), 404);
    });
  });
}
