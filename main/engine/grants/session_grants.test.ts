import { describe, expect, test } from "vitest";
import { credentialTable, repositoryTokens, vaultTable } from "../../api/v1/vaults/records.ts";
import type { SessionSnapshot } from "../../contract/events.ts";
import { foldAll, type SessionFold } from "../../contract/fold.ts";
import { newId } from "../../contract/ids.ts";
import type { CredentialAuth } from "../../contract/vaults/auth.ts";
import { snapshot } from "../../orchestration/testing/rig.ts";
import { MemoryRecords } from "../../session/records/memory_records.ts";
import { mcpServerId } from "../../tools/mcp/server_id.ts";
import { sessionGrants } from "./session_grants.ts";

const AT = "2026-01-01T00:00:00.000Z";
const records = new MemoryRecords();
let secret = 0;

async function vault(): Promise<string> {
  const id = newId("vault");
  const value = { id, type: "vault" as const, display_name: "v", metadata: {}, created_at: AT, updated_at: AT };
  await vaultTable(records).insert({ ...value, archived_at: null });
  return id;
}

async function credential(vault_id: string, auth: CredentialAuth, archived = false): Promise<string> {
  const id = newId("credential");
  secret += 1;
  await credentialTable(records).insert({
    id,
    type: "vault_credential",
    vault_id,
    display_name: null,
    auth,
    metadata: {},
    created_at: AT,
    updated_at: AT,
    archived_at: archived ? AT : null,
    secret_id: archived ? null : secret.toString(16).padStart(32, "0"),
  });
  return id;
}

const bearer = (mcp_server_url: string): CredentialAuth => ({ type: "static_bearer", mcp_server_url });

function variable(secret_name: string): CredentialAuth {
  return {
    type: "environment_variable",
    secret_name,
    networking: { type: "limited", allowed_hosts: ["api.example.com"] },
    injection_location: { header: true, body: false },
  };
}

const open = { type: "unrestricted" as const };

function fold(
  over: Partial<SessionSnapshot>,
  urls: string[] = [],
  networking:
    | { type: "unrestricted" }
    | { type: "limited"; allowed_hosts: string[]; allow_mcp_servers: boolean } = open,
): SessionFold {
  const mcp_servers = urls.map((url, index) => ({ type: "url" as const, name: `s${index}`, url }));
  const base = snapshot({ mcp_servers });
  const packages = { apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] };
  const network = networking.type === "limited" ? { ...networking, allow_package_managers: false } : networking;
  const config = { type: "cloud" as const, networking: network, packages };
  const session = { ...base, environment: { ...base.environment, config: config as never }, ...over };
  const event = { id: newId("event"), type: "longhaul.session_created" as const, processed_at: AT, session };
  const stored = { seq: 1, session_id: newId("session"), thread_id: base.primary_thread_id, created_at: AT, event };
  const made = foldAll([stored]);
  if (made === null) throw new Error("no fold");
  return made;
}

describe("the grants of a session", () => {
  test("find a server's credential whatever the case of its host, its default port or a slash at the end", async () => {
    const vaultId = await vault();
    const id = await credential(vaultId, bearer("https://Mcp.Example.com:443/api/"));
    const { mcp_servers } = await sessionGrants(
      records,
      fold({ vault_ids: [vaultId] }, ["https://mcp.example.com/api"]),
    );
    expect(mcp_servers).toMatchObject([
      {
        id: mcpServerId("https://mcp.example.com/api"),
        url: "https://mcp.example.com/api",
        // What was sealed is bound to the address as it was written.
        credential: { credential_id: id, vault_id: vaultId, issuer: "https://Mcp.Example.com:443/api/" },
      },
    ]);
  });

  test.each(["https://mcp.example.com/other", "https://mcp.example.com:8443/api", "https://sub.mcp.example.com/api"])(
    "give no credential of another server: %s",
    async (url) => {
      const vaultId = await vault();
      await credential(vaultId, bearer("https://mcp.example.com/api"));
      const { mcp_servers } = await sessionGrants(records, fold({ vault_ids: [vaultId] }, [url]));
      expect(mcp_servers).toMatchObject([{ url, credential: null }]);
    },
  );

  test("take the first vault that has one, and none that is archived", async () => {
    const [first, second] = [await vault(), await vault()];
    const url = "https://mcp.example.com/";
    await credential(first, bearer(url), true);
    const id = await credential(second, bearer(url));
    const late = await vault();
    await credential(late, bearer(url));
    const { mcp_servers } = await sessionGrants(records, fold({ vault_ids: [first, second, late] }, [url]));
    expect(mcp_servers[0]?.credential?.credential_id).toBe(id);
  });

  test("hold nothing of vaults that the session does not name", async () => {
    const vaultId = await vault();
    await credential(vaultId, bearer("https://mcp.example.com/"));
    await credential(vaultId, variable("KEY"));
    const grants = await sessionGrants(records, fold({}, ["https://mcp.example.com/"]));
    expect(grants).toMatchObject({ mcp_servers: [{ credential: null }], variables: [], repositories: [] });
  });

  test("leave out servers that a limited network does not include", async () => {
    const urls = ["https://in.example.com/mcp", "https://out.example.com/mcp"];
    const limited = { type: "limited" as const, allowed_hosts: ["in.example.com"], allow_mcp_servers: false };
    const { mcp_servers } = await sessionGrants(records, fold({}, urls, limited));
    expect(mcp_servers.map(({ url }) => url)).toEqual([urls[0]]);
    const all = await sessionGrants(records, fold({}, urls, { ...limited, allow_mcp_servers: true }));
    expect(all.mcp_servers).toHaveLength(2);
  });

  test("name each variable once, with a placeholder of this session alone", async () => {
    const [first, second] = [await vault(), await vault()];
    const id = await credential(first, variable("KEY"));
    await credential(second, variable("KEY"));
    const one = await sessionGrants(records, fold({ vault_ids: [first, second] }));
    const other = await sessionGrants(records, fold({ vault_ids: [first, second] }));
    expect(one.variables).toMatchObject([
      { name: "KEY", hosts: ["api.example.com"], header: true, body: false, credential: { credential_id: id } },
    ]);
    expect(one.variables[0]?.placeholder).toMatch(/^longhaul-secret-[0-9a-f]{40}$/);
    expect(other.variables[0]?.placeholder).not.toBe(one.variables[0]?.placeholder);
  });

  test("give an attached repository its own token, and the session's branch", async () => {
    const url = "https://github.com/owner/name";
    const resource = {
      id: newId("session_resource"),
      type: "github_repository" as const,
      url,
      mount_path: "/workspace/name",
      checkout: null,
      created_at: AT,
      updated_at: AT,
    };
    const session = fold({ resources: [resource] as never });
    const token = { id: resource.id, session_id: session.session_id, url, created_at: AT, secret_id: "f".repeat(32) };
    await repositoryTokens(records).insert(token);
    const { repositories } = await sessionGrants(records, session);
    expect(repositories).toMatchObject([
      {
        resource_id: resource.id,
        url,
        branch: `refs/heads/longhaul/${session.session_id}`,
        push: "ask",
        token: { vault_id: session.session_id, credential_id: resource.id, issuer: url },
      },
    ]);
    const trusted = await sessionGrants(records, { ...session, metadata: { "longhaul.push": "allow" } });
    expect(trusted.repositories).toMatchObject([{ push: "allow" }]);
  });
});
