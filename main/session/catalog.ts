/** Port: agents, environments and uploaded files. They are records, not events: sessions keep snapshots of them. */
import type { BetaManagedAgentsAgent } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { BetaFileMetadata } from "@anthropic-ai/sdk/resources/beta/files";

export type Agent = BetaManagedAgentsAgent;
export type Environment = BetaEnvironment;
export type FileRecord = BetaFileMetadata & {
  sha256: string;
  /** Of a file that the agent left in its outputs folder: where it was when it was stored. */
  output?: {
    path: string;
    modified_at: string;
    /** False when it may have been changed since without showing it. */
    settled: boolean;
  };
};

export interface CatalogQuery {
  limit: number;
  include_archived?: boolean;
  created_gte?: string;
  created_lte?: string;
  /** Newest first; rows strictly after this one. */
  after?: { created_at: string; id: string };
}

export interface Catalog {
  /** Stores a new agent as version 1. */
  createAgent(agent: Agent): Promise<void>;
  /** The newest version, or the given one; null when unknown. */
  getAgent(id: string, version?: number): Promise<Agent | null>;
  /** Stores a new version if the newest is still `expectedVersion`; false when another writer was first. */
  putAgentVersion(agent: Agent, expectedVersion: number): Promise<boolean>;
  /** Replaces the newest version's row in place (archiving is not a version). */
  replaceAgent(agent: Agent): Promise<void>;
  listAgents(query: CatalogQuery): Promise<Agent[]>;
  /** Newest version first; versions strictly below `before_version`. */
  listAgentVersions(id: string, limit: number, before_version?: number): Promise<Agent[]>;

  putEnvironment(environment: Environment): Promise<void>;
  getEnvironment(id: string): Promise<Environment | null>;
  findEnvironmentByName(name: string): Promise<Environment | null>;
  listEnvironments(query: CatalogQuery): Promise<Environment[]>;
  deleteEnvironment(id: string): Promise<void>;

  /** @param replaces id of the file that goes in the same transaction */
  putFile(file: FileRecord, replaces?: string): Promise<void>;
  getFile(id: string): Promise<FileRecord | null>;
  listFiles(query: CatalogQuery & { scope_id?: string; ids?: readonly string[] }): Promise<FileRecord[]>;
  deleteFile(id: string): Promise<void>;
}

/** Bodies by content. `put` resolves only when the bytes are durable. */
export interface BlobStore {
  /** @returns lower-case hex SHA-256 of the bytes */
  put(bytes: Uint8Array): Promise<string>;
  /** Rejects with a text that names the blob when it is missing or its hash is wrong. */
  get(sha256: string): Promise<Uint8Array>;
  /** Like {@link put} and {@link get}, on the caller's turn: the ledger needs a body durable inside its transaction. */
  putSync(bytes: Uint8Array): string;
  getSync(sha256: string): Uint8Array;
}
