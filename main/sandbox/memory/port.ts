/**
 * Ports of mounted memory stores. A store is a folder of the sandbox; `store_sync.ts` makes folder and store equal again and
 * again. It needs the memories ({@link MemorySource}, wired to the records by compose.ts) and the folder
 * ({@link MemoryFiles}, which each provider offers).
 */
import type { SessionResource } from "../../contract/events.ts";
import type { Hand, ProvisionRequest, SandboxProvider } from "../port.ts";

/** One attached store, as the sandbox has it. */
export interface MemoryMount {
  store_id: string;
  /** Absolute path in the sandbox, directly below `/mnt/memory`. */
  path: string;
  name: string;
  read_only: boolean;
}

/** A memory without its content. */
export interface MemoryHead {
  id: string;
  /** Begins with a slash; also the file's path below the mount. */
  path: string;
  /** Of its UTF-8 bytes, lower-case hex. */
  sha256: string;
}

/**
 * `changed`: somebody else changed the memory, or took the path, since it was looked at; nothing was stored. `refused`: it
 * would be refused again; `reason` is the end of a sentence.
 */
export type PushOutcome = { kind: "done" } | { kind: "changed" } | { kind: "refused"; reason: string };

/** The memories of stores, changed in the name of a session. */
export interface MemorySource {
  /** Null when there is no such store any more. */
  look(storeId: string): Promise<{ archived: boolean; heads: MemoryHead[] } | null>;
  /** Null when there is no such memory any more. */
  read(storeId: string, memoryId: string): Promise<{ content: string; sha256: string } | null>;
  create(storeId: string, sessionId: string, path: string, content: string): Promise<PushOutcome>;
  /** @param expected SHA-256 of what the change replaces */
  update(storeId: string, sessionId: string, memoryId: string, content: string, expected: string): Promise<PushOutcome>;
  delete(storeId: string, sessionId: string, memoryId: string, expected: string): Promise<PushOutcome>;
}

/** A mount that holds more is not looked through. A store has at most 2,000 memories. */
export interface ScanLimits {
  files: number;
  folders: number;
}
export const SCAN_LIMITS: ScanLimits = { files: 4000, folders: 20_000 };

/** What is in a mount, and cannot be a memory. */
export type Unfit = "link" | "special" | "too_large" | "unreadable" | "bad_name";

export interface MountScan {
  /** SHA-256 of each regular file of at most 102,400 bytes, by path. */
  files: Map<string, string>;
  /** By path. A folder that cannot be read is here, and what is below it is unknown. */
  unfit: Map<string, Unfit>;
  /** The mount itself was removed, or something else was put in its place. */
  gone: boolean;
  /** There is so much in it that it was not looked through. */
  overflow: boolean;
}

/** `expected`: SHA-256 of what is there; null for nothing; "any": whatever is there goes. */
export type MountChange =
  | { op: "write"; path: string; content: string; expected: string | null | "any" }
  | { op: "remove"; path: string; expected: string | "any" };

/** Why a change was not made. `changed`: something else is there by now. `blocked`: a link or a folder is in the way. */
export type ChangeProblem = "changed" | "blocked" | "failed";

/**
 * The mounts of one session's sandbox, seen from outside of it. Nothing here follows a link, opens a pipe or device, or
 * touches what is not below a mount, whatever the agent put there. Methods reject when the sandbox cannot be reached.
 */
export interface MemoryFiles {
  /** False when the session has no sandbox to look into. */
  ready(): Promise<boolean>;
  /** Makes the mounts' folders, also those that were removed; what the agent put in their place goes. */
  prepare(mounts: readonly MemoryMount[]): Promise<void>;
  /** By mount path. */
  scan(mounts: readonly MemoryMount[]): Promise<Map<string, MountScan>>;
  /** Bytes by path; without what is no regular file of at most 102,400 bytes any more. */
  read(mount: MemoryMount, paths: readonly string[]): Promise<Map<string, Uint8Array>>;
  /** Makes the changes in their order; resolves with those that were not made, by path. Empty folders go. */
  apply(mount: MemoryMount, changes: readonly MountChange[]): Promise<Map<string, ChangeProblem>>;
  /**
   * What {@link keep} was given last for the store, as it was when the sandbox's files were as they are: a sandbox that is
   * rebuilt from a copy has the text of the time of the copy. Null when there is none.
   */
  kept(storeId: string): Promise<string | null>;
  keep(storeId: string, text: string): Promise<void>;
}

/** What must be known of a session. */
export interface MemorySession {
  session_id: string;
  resources: readonly SessionResource[];
}

/** What the harness knows of memory: hands that keep the session's mounts and stores equal. */
export interface SandboxMemory {
  /** Fills the mounts of a sandbox that was just provisioned. Resolves with the hand to use; never rejects. */
  mounted(
    provider: SandboxProvider,
    fold: MemorySession,
    hand: Hand,
    onStep: ProvisionRequest["onStep"],
  ): Promise<Hand>;
  /** Brings home what was not yet, before the session comes to rest. Never rejects; waits for half a minute at most. */
  rest(provider: SandboxProvider, fold: MemorySession): Promise<void>;
  /** The session's sandbox is gone or given up. */
  forget(sessionId: string): void;
}

/** The stores among a session's resources. */
export function memoryMounts(resources: readonly SessionResource[]): MemoryMount[] {
  return resources.flatMap((resource) => {
    if (resource.type !== "memory_store" || !/^\/mnt\/memory\/[a-z0-9-]+$/.test(resource.mount_path ?? "")) return [];
    const { memory_store_id: store_id, mount_path, name, access } = resource;
    return [{ store_id, path: mount_path ?? "", name: name ?? store_id, read_only: access === "read_only" }];
  });
}
