/**
 * Stores what agents leave in their outputs folder as files of the session: a moment after a tool call, when the session
 * comes to rest, and when somebody lists the session's files. A file that changes gets a new id, and the former goes.
 */
import type { StoredEvent } from "../../contract/events.ts";
import type { OutputFile } from "../../contract/local_api.ts";
import type { FileRecord } from "../../session/catalog.ts";
import { RemovedOutputs } from "../../session/records/removed_outputs.ts";
import { type OutputPorts, type Skipped, storeOutput } from "./stored_output.ts";

/** Outputs of one session that are stored; the rest stays in its sandbox. */
export const MAX_STORED_OUTPUTS = 1000;
/** As for uploads. */
export const MAX_OUTPUT_BYTES = 500 * 1024 * 1024;
/** Larger ones are stored when the session rests: each version of a file takes its space on the disk. */
const MAX_BYTES_AT_WORK = 10 * 1024 * 1024;
const AFTER_CALL_MS = 3_000;
const AFTER_REST_MS = 100;
/** A pass that ended so recently is not repeated for somebody who lists files. */
const FRESH_MS = 500;
/** How long a list of files waits for a slow sandbox. */
const PATIENCE_MS = 10_000;
const MAX_TOLD = 100;

export class OutputFiles {
  readonly #ports: OutputPorts;
  readonly #timers = new Map<string, { timer: NodeJS.Timeout; at: number }>();
  /** Passes of one session at a time join; those of several sessions follow each other, so that memory is bounded. */
  readonly #passes = new Map<string, Promise<void>>();
  #turn: Promise<unknown> = Promise.resolve();
  /** Sessions whose sandboxes were used since their last pass at rest. */
  readonly #used = new Set<string>();
  readonly #ended = new Map<string, number>();
  /** What could not be stored and was told, by session. */
  readonly #told = new Map<string, Set<string>>();
  readonly #unsubscribe: () => void;
  #stopped = false;

  constructor(ports: OutputPorts) {
    this.#ports = ports;
    this.#unsubscribe = ports.ledger.subscribe((events) => this.#onEvents(events));
  }

  /** The session rests: all that it left is stored soon. */
  rested(sessionId: string): void {
    // A turn without a call left nothing; what runs on in the background is found by who lists the session's files.
    if (this.#used.has(sessionId)) this.#schedule(sessionId, AFTER_REST_MS);
  }

  /** Resolves when what is there now is stored, or a while later without it when the sandbox is slow; never rejects. */
  async refresh(sessionId: string): Promise<void> {
    if (this.#stopped || performance.now() - (this.#ended.get(sessionId) ?? -FRESH_MS) < FRESH_MS) return;
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    });
    // One that is under way may have listed the outputs already.
    await Promise.race([this.#pass(sessionId), patience]);
    clearTimeout(timer);
  }

  /** The session was deleted. */
  forget(sessionId: string): void {
    clearTimeout(this.#timers.get(sessionId)?.timer);
    for (const known of [this.#timers, this.#used, this.#ended, this.#told]) known.delete(sessionId);
  }

  /** Resolves when nothing is read or stored any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe();
    for (const { timer } of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    await this.#turn;
  }

  #onEvents(events: readonly StoredEvent[]): void {
    for (const { event, session_id } of events) {
      if (event.type === "agent.tool_result") {
        this.#used.add(session_id);
        this.#ended.delete(session_id);
        this.#schedule(session_id, AFTER_CALL_MS);
      }
      if (event.type === "session.deleted") this.forget(session_id);
    }
  }

  #schedule(sessionId: string, delay: number): void {
    if (this.#stopped) return;
    const at = performance.now() + delay;
    const planned = this.#timers.get(sessionId);
    if (planned !== undefined && planned.at <= at) return;
    clearTimeout(planned?.timer);
    const run = (): void => {
      this.#timers.delete(sessionId);
      void this.#pass(sessionId);
    };
    this.#timers.set(sessionId, { at, timer: setTimeout(run, delay) });
  }

  #pass(sessionId: string): Promise<void> {
    const waiting = this.#passes.get(sessionId);
    if (waiting !== undefined) return waiting;
    const pass = this.#turn.then(async () => {
      // From here on a newcomer needs a pass of its own: this one may have listed the outputs already.
      this.#passes.delete(sessionId);
      if (this.#stopped) return;
      try {
        await this.#store(sessionId);
      } catch (error) {
        this.#ports.onError(sessionId, error);
      }
      this.#ended.set(sessionId, performance.now());
    });
    this.#passes.set(sessionId, pass);
    this.#turn = pass;
    return pass;
  }

  async #store(sessionId: string): Promise<void> {
    const { ledger, sandboxes, isAtWork } = this.#ports;
    const atWork = isAtWork(sessionId);
    if (!atWork) this.#used.delete(sessionId);
    const session = await ledger.getSession(sessionId);
    if (session === null || session.fold.sandbox?.made !== true) return;
    const found = await sandboxes.outputs(sessionId);
    if (found.length === 0) return;
    const isRemoved = await new RemovedOutputs(this.#ports.records).of(sessionId);
    const outputs = found.filter((output) => !isRemoved(output));
    const known = await this.#known(sessionId);
    const { chosen, skipped } = choose(outputs, known, atWork ? MAX_BYTES_AT_WORK : MAX_OUTPUT_BYTES);
    const stored: { file_id: string; path: string; size_bytes: number }[] = [];
    for (const output of chosen) {
      if (this.#stopped) break;
      const result = await storeOutput(this.#ports, sessionId, output, known.get(output.path));
      if (result === "gone") return;
      if (result === null) continue;
      if ("reason" in result) skipped.push(result);
      else stored.push({ file_id: result.id, path: output.path, size_bytes: result.size_bytes });
    }
    await this.#tell(sessionId, stored, skipped);
  }

  /** The newest record of each path; older ones, left by a crash between two writes, are removed. */
  async #known(sessionId: string): Promise<Map<string, FileRecord>> {
    const { catalog } = this.#ports;
    const known = new Map<string, FileRecord>();
    for (const file of await catalog.listFiles({ scope_id: sessionId, limit: 10 * MAX_STORED_OUTPUTS })) {
      if (file.output === undefined) continue;
      if (known.has(file.output.path)) await catalog.deleteFile(file.id);
      else known.set(file.output.path, file);
    }
    return known;
  }

  async #tell(sessionId: string, files: { file_id: string; path: string; size_bytes: number }[], all: Skipped[]) {
    const told = this.#told.get(sessionId) ?? new Set<string>();
    this.#told.set(sessionId, told);
    const skipped = all.filter(({ path, reason }) => !told.has(`${path}\n${reason}`)).slice(0, MAX_TOLD);
    for (const { path, reason } of skipped) told.add(`${path}\n${reason}`);
    if (files.length === 0 && skipped.length === 0) return;
    const session = await this.#ports.ledger.getSession(sessionId);
    if (session === null || session.fold.archived_at !== null) return;
    await this.#ports.ledger.emitEvent(sessionId, {
      type: "longhaul.outputs_stored",
      count: files.length,
      files: files.slice(0, MAX_TOLD),
      skipped,
    });
  }
}

const TOO_LARGE = `It is larger than ${MAX_OUTPUT_BYTES / 1024 / 1024} MB and can be had from the sandbox only.`;
const TOO_MANY = `The session has ${MAX_STORED_OUTPUTS} stored outputs; this and later new ones can be had from the sandbox only.`;

/** Which outputs to store, none above `limit` bytes, and which never will be. */
function choose(
  outputs: readonly OutputFile[],
  known: ReadonlyMap<string, FileRecord>,
  limit: number,
): { chosen: OutputFile[]; skipped: Skipped[] } {
  const chosen: OutputFile[] = [];
  const skipped: Skipped[] = [];
  let left = MAX_STORED_OUTPUTS - known.size;
  let full = false;
  for (const output of outputs) {
    const { path, size } = output;
    if (size > MAX_OUTPUT_BYTES) skipped.push({ path, reason: TOO_LARGE });
    if (size > limit) continue;
    if (!known.has(path)) left -= 1;
    if (known.has(path) || left >= 0) chosen.push(output);
    else if (!full) {
      skipped.push({ path, reason: TOO_MANY });
      full = true;
    }
  }
  return { chosen, skipped };
}
