/** A session with memory stores over real records and a provider's real mounts, for tests. */
import type { EventDraft, SessionResource } from "../../../contract/events.ts";
import { memorySource } from "../../../engine/memory_source.ts";
import { type FullMemory, Memories } from "../../../session/memories/memories.ts";
import { MemoryStores } from "../../../session/memories/stores.ts";
import { MemoryVersions } from "../../../session/memories/versions.ts";
import { MemoryRecords } from "../../../session/records/memory_records.ts";
import type { MemoryMount, MemorySource } from "../port.ts";

const PERSON = { type: "api_actor" as const, api_key_id: "apikey_local" };

export type Synced = Extract<EventDraft, { type: "longhaul.memory_synced" }>;

export class MemoryBench {
  readonly records = new MemoryRecords();
  readonly stores = new MemoryStores(this.records, Date.now);
  readonly memories = new Memories(this.records, Date.now);
  readonly versions = new MemoryVersions(this.records, Date.now);
  readonly source: MemorySource = memorySource(this.records);
  readonly synced: Synced[] = [];
  readonly tell = (event: EventDraft): void => {
    if (event.type === "longhaul.memory_synced") this.synced.push(event);
  };

  /** A store with these memories, by path. */
  async store(files: Record<string, string> = {}, name = "notes"): Promise<string> {
    const { id } = await this.stores.create({ name, description: "", metadata: {} });
    for (const [path, content] of Object.entries(files)) await this.memories.create(id, path, content, PERSON);
    return id;
  }

  mount(store_id: string, more: Partial<MemoryMount> = {}): MemoryMount {
    return { store_id, path: "/mnt/memory/notes", name: "notes", read_only: false, ...more };
  }

  resource(store_id: string, more: object = {}): SessionResource {
    return { type: "memory_store", memory_store_id: store_id, mount_path: "/mnt/memory/notes", name: "notes", ...more };
  }

  /** Contents of all memories, by path. */
  async contents(store: string): Promise<Record<string, string>> {
    const contents: Record<string, string> = {};
    for (const { id, path } of await this.memories.list(store)) {
      contents[path] = (await this.memories.getFull(store, id)).content;
    }
    return contents;
  }

  async at(store: string, path: string): Promise<FullMemory> {
    const row = (await this.memories.list(store)).find((memory) => memory.path === path);
    if (row === undefined) throw new Error(`no memory ${path}`);
    return this.memories.getFull(store, row.id);
  }

  /** As somebody else does it through the API. */
  async write(store: string, path: string, content: string): Promise<void> {
    const row = (await this.memories.list(store)).find((memory) => memory.path === path);
    if (row === undefined) await this.memories.create(store, path, content, PERSON);
    else await this.memories.update(store, row.id, { content }, PERSON);
  }

  async remove(store: string, path: string): Promise<void> {
    await this.memories.delete(store, (await this.at(store, path)).id, undefined, PERSON);
  }
}
