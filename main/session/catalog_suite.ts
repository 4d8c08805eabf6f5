/** The conformance suite of the catalog port. */
import { describe, expect, test } from "vitest";
import type { Agent, Catalog, Environment, FileRecord } from "./catalog.ts";

function at(second: number): string {
  return new Date(Date.UTC(2026, 2, 1, 10, 0, second)).toISOString();
}

function agent(id: string, version: number, overrides: Partial<Agent> = {}): Agent {
  return {
    id,
    type: "agent",
    version,
    name: `${id} v${version}`,
    description: null,
    system: null,
    model: { id: "claude-opus-4-6" },
    tools: [],
    mcp_servers: [],
    skills: [],
    multiagent: null,
    execution_identity: { type: "service_account" },
    metadata: {},
    created_at: at(0),
    updated_at: at(0),
    archived_at: null,
    ...overrides,
  };
}

function environment(id: string, overrides: Partial<Environment> = {}): Environment {
  return {
    id,
    type: "environment",
    name: id,
    description: null,
    config: { type: "self_hosted" },
    metadata: {},
    created_at: at(0),
    updated_at: at(0),
    archived_at: null,
    ...overrides,
  };
}

function file(id: string, overrides: Partial<FileRecord> = {}): FileRecord {
  const sha256 = "0".repeat(64);
  return {
    id,
    type: "file",
    filename: "a.txt",
    mime_type: "text/plain",
    size_bytes: 1,
    created_at: at(0),
    sha256,
    ...overrides,
  };
}

const ids = (records: readonly { id: string }[]): string[] => records.map(({ id }) => id);

/** @param open makes an empty catalog, which the adapter's own test file closes and removes */
export function catalogSuite(adapter: string, open: () => Promise<Catalog>): void {
  describe(`catalog port on ${adapter}`, () => {
    test("an agent's versions are kept; only the writer who saw the newest adds one", async () => {
      const catalog = await open();
      await catalog.createAgent(agent("agent_A", 1));
      await expect(catalog.createAgent(agent("agent_A", 1))).rejects.toThrow(/exists already/);
      const raced = await Promise.all([
        catalog.putAgentVersion(agent("agent_A", 2, { name: "first" }), 1),
        catalog.putAgentVersion(agent("agent_A", 2, { name: "second" }), 1),
        catalog.putAgentVersion(agent("agent_B", 2), 1),
      ]);
      expect(raced).toEqual([true, false, false]);
      expect(await catalog.getAgent("agent_A")).toEqual(agent("agent_A", 2, { name: "first" }));
      expect(await catalog.getAgent("agent_A", 1)).toEqual(agent("agent_A", 1));
      expect(await catalog.getAgent("agent_A", 3)).toBeNull();
      expect(await catalog.getAgent("agent_B")).toBeNull();
    });

    test("versions are listed newest first and page by version", async () => {
      const catalog = await open();
      await catalog.createAgent(agent("agent_A", 1));
      for (const version of [2, 3, 4]) await catalog.putAgentVersion(agent("agent_A", version), version - 1);
      const versions = async (limit: number, before?: number): Promise<number[]> =>
        (await catalog.listAgentVersions("agent_A", limit, before)).map(({ version }) => version);
      expect(await versions(10)).toEqual([4, 3, 2, 1]);
      expect(await versions(2)).toEqual([4, 3]);
      expect(await versions(2, 3)).toEqual([2, 1]);
      expect(await catalog.listAgentVersions("agent_0", 5)).toEqual([]);
    });

    test("archiving replaces the newest version in place", async () => {
      const catalog = await open();
      await catalog.createAgent(agent("agent_A", 1));
      await catalog.replaceAgent(agent("agent_A", 1, { archived_at: at(9) }));
      expect(await catalog.getAgent("agent_A")).toMatchObject({ version: 1, archived_at: at(9) });
      expect(await catalog.listAgents({ limit: 5 })).toEqual([]);
      expect(ids(await catalog.listAgents({ limit: 5, include_archived: true }))).toEqual(["agent_A"]);
      await expect(catalog.replaceAgent(agent("agent_B", 1))).rejects.toThrow("agent_B");
    });

    test("lists are newest first, filter by time and page; the id decides within a millisecond", async () => {
      const catalog = await open();
      for (const [id, second] of [
        ["1", 1],
        ["2", 2],
        ["3", 2],
        ["4", 4],
      ] as const) {
        await catalog.createAgent(agent(`agent_${id}`, 1, { created_at: at(second) }));
        await catalog.putEnvironment(environment(`env_${id}`, { created_at: at(second) }));
        await catalog.putFile(file(`file_${id}`, { created_at: at(second) }));
      }
      for (const [prefix, list] of [
        ["agent_", (query: object) => catalog.listAgents({ limit: 9, ...query })],
        ["env_", (query: object) => catalog.listEnvironments({ limit: 9, ...query })],
        ["file_", (query: object) => catalog.listFiles({ limit: 9, ...query })],
      ] as const) {
        const numbers = async (query: object): Promise<string[]> =>
          ids(await list(query)).map((id) => id.slice(prefix.length));
        expect(await numbers({})).toEqual(["4", "3", "2", "1"]);
        expect(await numbers({ limit: 2 })).toEqual(["4", "3"]);
        expect(await numbers({ limit: 2, after: { created_at: at(2), id: `${prefix}3` } })).toEqual(["2", "1"]);
        expect(await numbers({ created_gte: at(2), created_lte: at(2) })).toEqual(["3", "2"]);
        await expect(list({ created_gte: "soon" })).rejects.toThrow("created_at[gte]");
      }
    });

    test("environments are replaced, found by name, archived and deleted", async () => {
      const catalog = await open();
      await catalog.putEnvironment(environment("env_A", { name: "n", archived_at: at(1) }));
      expect(await catalog.findEnvironmentByName("n")).toMatchObject({ id: "env_A" });
      await catalog.putEnvironment(environment("env_B", { name: "n", created_at: at(5) }));
      expect(await catalog.findEnvironmentByName("n")).toMatchObject({ id: "env_B" });
      expect(await catalog.findEnvironmentByName("N")).toBeNull();
      expect(ids(await catalog.listEnvironments({ limit: 5 }))).toEqual(["env_B"]);
      await catalog.putEnvironment(environment("env_B", { name: "renamed", created_at: at(5) }));
      expect(await catalog.getEnvironment("env_B")).toMatchObject({ name: "renamed" });
      await catalog.deleteEnvironment("env_B");
      await catalog.deleteEnvironment("env_B");
      expect(await catalog.getEnvironment("env_B")).toBeNull();
    });

    test("files are found by scope and id, and deleted", async () => {
      const catalog = await open();
      await catalog.putFile(file("file_1", { scope: { id: "sesn_1", type: "session" } }));
      await catalog.putFile(file("file_2"));
      expect(ids(await catalog.listFiles({ limit: 5, scope_id: "sesn_1" }))).toEqual(["file_1"]);
      expect(ids(await catalog.listFiles({ limit: 5, ids: ["file_2", "file_9"] }))).toEqual(["file_2"]);
      expect(await catalog.listFiles({ limit: 5, ids: [] })).toEqual([]);
      expect(await catalog.getFile("file_2")).toEqual(file("file_2"));
      await catalog.deleteFile("file_2");
      expect(await catalog.getFile("file_2")).toBeNull();
      await catalog.putFile(file("file_3"), "file_1");
      expect(ids(await catalog.listFiles({ limit: 5 }))).toEqual(["file_3"]);
    });

    test("what was put or returned can be changed without changing the catalog", async () => {
      const catalog = await open();
      const mine = agent("agent_A", 1);
      await catalog.createAgent(mine);
      mine.metadata.changed = "yes";
      const theirs = await catalog.getAgent("agent_A");
      if (theirs !== null) theirs.name = "changed";
      expect(await catalog.getAgent("agent_A")).toEqual(agent("agent_A", 1));
    });
  });
}
