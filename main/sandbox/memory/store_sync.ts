/** Makes one mount and its store equal. What is done twice, because something died in between, does no harm. */
import { createHash } from "node:crypto";
import { memoryPathProblem } from "../../contract/memory/paths.ts";
import { type Manifest, readManifest, writeManifest } from "./manifest.ts";
import { merge, type Plan } from "./merge.ts";
import type {
  MemoryFiles,
  MemoryHead,
  MemoryMount,
  MemorySource,
  MountChange,
  MountScan,
  PushOutcome,
} from "./port.ts";
import { isFileName, siblingOf } from "./sibling.ts";
import * as words from "./words.ts";

const NOT_TEXT: PushOutcome = { kind: "refused", reason: words.UNFIT.not_text };
/** Files that are read together. At most this many times 100 KB are in memory. */
const BATCH = 64;
/** Of files that are written together: each time costs as much as writing dozens of small files. */
const BATCH_WRITES = 500;
const BATCH_LENGTH = 4_000_000;

export interface SyncReport {
  /** Memories created or changed. */
  written: number;
  /** Memories deleted. */
  deleted: number;
  /** Files of the mount written or removed. */
  updated: number;
  conflicts: number;
  /** What the model is to be told. What goes on being so has the same text each time. */
  notices: string[];
}

export interface StoreSyncOptions {
  session_id: string;
  mount: MemoryMount;
  files: MemoryFiles;
  source: MemorySource;
}

/** Not safe for concurrent use. */
export class StoreSync {
  readonly #options: StoreSyncOptions;
  /** Null until it was read. */
  #base: Manifest | null = null;
  /** What is known of it is not kept yet. */
  #unkept = false;
  #missed: ReadonlySet<string> = new Set();
  /** What the store did not take, with the reason: not tried again before it changes. */
  readonly #refused = new Map<string, { sha256: string; reason: string }>();

  constructor(options: StoreSyncOptions) {
    this.#options = options;
  }

  get mount(): MemoryMount {
    return this.#options.mount;
  }

  /** @param resting nothing runs now. Rejects when the sandbox or the records cannot be reached. */
  async run(scan: MountScan, resting: boolean): Promise<SyncReport> {
    const { mount, files, source } = this.#options;
    const report: SyncReport = { written: 0, deleted: 0, updated: 0, conflicts: 0, notices: [] };
    this.#base ??= readManifest(await files.kept(mount.store_id));
    const base = this.#base;
    const store = await source.look(mount.store_id);
    if (store === null || scan.overflow) {
      report.notices.push(store === null ? words.storeGone(mount.path) : words.overflow(mount.path));
      return report;
    }
    const { read_only } = mount;
    const plan = merge({ base, scan, heads: store.heads, read_only, missed: this.#missed, resting });
    if (scan.gone) await files.prepare([mount]);
    if (plan.fresh && base.size > 0) {
      report.notices.push(scan.gone ? words.remade(mount.path) : words.wiped(mount.path));
    }
    if (plan.undone) report.notices.push(words.putRight(mount.path));
    const next: Manifest = plan.fresh ? new Map() : new Map(base);
    for (const { path, sha256 } of plan.adopt) next.set(path, sha256);
    for (const path of plan.drop) next.delete(path);
    try {
      await this.#removeMemories(plan, next, report);
      await this.#settleConflicts(plan, store.heads, next, report);
      await this.#push(plan, next, report, store.archived);
      await this.#bringIn(plan, next, report);
    } finally {
      // Also when it was cut short: what this session did itself must not look like somebody else's change later.
      this.#unkept ||= !isSame(base, next);
      this.#base = next;
    }
    if (!read_only) {
      for (const [path, why] of scan.unfit) report.notices.push(words.unsaved(mount.path + path, words.UNFIT[why]));
    }
    this.#missed = new Set(plan.missed);
    if (this.#unkept) await files.keep(mount.store_id, writeManifest(next));
    this.#unkept = false;
    return report;
  }

  async #removeMemories(plan: Plan, next: Manifest, report: SyncReport): Promise<void> {
    const { session_id, mount, source } = this.#options;
    for (const { id, path, sha256 } of plan.removeMemory) {
      const outcome = await source.delete(mount.store_id, session_id, id, sha256);
      if (outcome.kind !== "done") continue;
      next.delete(path);
      report.deleted += 1;
    }
  }

  /** The store's version gets the path; the agent's is kept beside it, in the store before it leaves its place. */
  async #settleConflicts(plan: Plan, heads: readonly MemoryHead[], next: Manifest, report: SyncReport): Promise<void> {
    const { session_id, mount, files, source } = this.#options;
    for (const { head, sha256 } of plan.conflicts) {
      const text = (await this.#texts([head.path])).get(head.path);
      const theirs = await source.read(mount.store_id, head.id);
      if (text === null) this.#tellRefusal(report, head.path, words.UNFIT.not_text);
      if (text == null || theirs === null) continue;
      const sibling = siblingOf(head.path, sha256, heads);
      const isThere = heads.some((other) => other.path === sibling && other.sha256 === sha256);
      const saved =
        isThere ||
        (sibling !== null && (await source.create(mount.store_id, session_id, sibling, text)).kind === "done");
      const changes: MountChange[] = [{ op: "write", path: head.path, content: theirs.content, expected: sha256 }];
      if (sibling !== null) changes.unshift({ op: "write", path: sibling, content: text, expected: null });
      const problems = sibling === null ? new Map() : await files.apply(mount, changes.slice(0, 1));
      // Without a copy anywhere the agent's text stays where it is.
      if (sibling === null || (!saved && problems.size > 0)) {
        report.notices.push(words.unsaved(mount.path + head.path, "somebody else changed the memory at the same time"));
        continue;
      }
      if (saved && problems.size === 0) next.set(sibling, hashOf(text));
      if ((await files.apply(mount, changes.slice(1))).size > 0) continue;
      next.set(head.path, theirs.sha256);
      report.conflicts += 1;
      report.updated += 1;
      if (saved) report.written += 1;
      report.notices.push(words.conflict(mount.path + head.path, mount.path + sibling));
    }
  }

  async #push(plan: Plan, next: Manifest, report: SyncReport, archived: boolean): Promise<void> {
    const waiting = plan.push.filter(({ path, sha256 }) => {
      const known = this.#refused.get(path);
      if (known?.sha256 !== sha256) this.#refused.delete(path);
      else this.#tellRefusal(report, path, known.reason);
      return known?.sha256 !== sha256;
    });
    for (let start = 0; start < waiting.length; start += BATCH) {
      const batch = waiting.slice(start, start + BATCH);
      const texts = await this.#texts(batch.map(({ path }) => path));
      for (const { path, sha256, head } of batch) {
        const text = texts.get(path);
        if (text === undefined) continue;
        const outcome = text === null ? NOT_TEXT : await this.#pushOne(path, text, head, archived);
        if (outcome.kind === "refused") {
          this.#refused.set(path, { sha256, reason: outcome.reason });
          this.#tellRefusal(report, path, outcome.reason);
        } else if (outcome.kind === "done" && text !== null) {
          next.set(path, hashOf(text));
          report.written += 1;
        }
      }
    }
  }

  async #pushOne(
    path: string,
    text: string,
    head: Plan["push"][number]["head"],
    archived: boolean,
  ): Promise<PushOutcome> {
    const { session_id, mount, source } = this.#options;
    const problem = memoryPathProblem(path);
    if (problem !== null) return { kind: "refused", reason: `its path ${problem}` };
    if (archived) return { kind: "refused", reason: "the memory store is archived and does not change any more" };
    if (head !== null) return source.update(mount.store_id, session_id, head.id, text, head.sha256);
    return source.create(mount.store_id, session_id, path, text);
  }

  #tellRefusal(report: SyncReport, path: string, reason: string): void {
    report.notices.push(words.unsaved(this.mount.path + path, reason));
  }

  /** The files' texts; null for what is no text, without those that are gone. */
  async #texts(paths: readonly string[]): Promise<Map<string, string | null>> {
    const texts = new Map<string, string | null>();
    for (const [path, bytes] of await this.#options.files.read(this.mount, paths)) texts.set(path, decoded(bytes));
    return texts;
  }

  async #bringIn(plan: Plan, next: Manifest, report: SyncReport): Promise<void> {
    const { mount, source } = this.#options;
    const removals = plan.removeFile.map(({ path, expected }): MountChange => ({ op: "remove", path, expected }));
    await this.#apply(removals, next, report);
    let changes: MountChange[] = [];
    let length = 0;
    for (const { head, expected } of plan.pull) {
      // An archive with one such name could not be unpacked at all.
      if (!isFileName(head.path)) report.notices.push(words.notBrought(mount.path + head.path, "too_long"));
      const memory = isFileName(head.path) ? await source.read(mount.store_id, head.id) : null;
      if (memory === null) continue;
      changes.push({ op: "write", path: head.path, content: memory.content, expected });
      length += memory.content.length;
      if (changes.length < BATCH_WRITES && length < BATCH_LENGTH) continue;
      await this.#apply(changes, next, report);
      changes = [];
      length = 0;
    }
    await this.#apply(changes, next, report);
  }

  async #apply(changes: readonly MountChange[], next: Manifest, report: SyncReport): Promise<void> {
    if (changes.length === 0) return;
    const problems = await this.#options.files.apply(this.mount, changes);
    for (const change of changes) {
      const problem = problems.get(change.path);
      if (problem === undefined) {
        report.updated += 1;
        if (change.op === "write") next.set(change.path, hashOf(change.content));
        else next.delete(change.path);
        // What was changed in this moment is looked at the next time.
      } else if (problem !== "changed" && change.op === "write") {
        report.notices.push(words.notBrought(this.mount.path + change.path, problem));
      }
    }
  }
}

function hashOf(text: string): string {
  return createHash("sha256").update(text, "utf8").digest("hex");
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function isSame(a: Manifest, b: Manifest): boolean {
  if (a.size !== b.size) return false;
  for (const [path, sha256] of a) if (b.get(path) !== sha256) return false;
  return true;
}
