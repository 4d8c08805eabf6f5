/**
 * The one file in which sealed values are kept, as JSON. A new state takes the place of the old one in a single step, so
 * that neither a crash nor a full disk leaves half of it.
 */
import { type FileHandle, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { Refusal } from "../refusal.ts";

const FORMAT = 1;
/** Far above 20 credentials of 32 KiB in hundreds of vaults. */
const MAX_BYTES = 256 * 1024 * 1024;

const sealed = z.object({ nonce: z.string(), sealed: z.string() });

const keyEntry = z.discriminatedUnion("source", [
  z.object({ id: z.string().min(1), source: z.literal("keychain"), check: sealed }),
  z.object({
    id: z.string().min(1),
    source: z.literal("passphrase"),
    check: sealed,
    kdf: z.object({
      name: z.literal("scrypt"),
      salt: z.string().min(1),
      // Bounded, because a changed file must not make this process take all memory.
      n: z.int().min(2).max(1_048_576),
      r: z.int().min(1).max(16),
      p: z.int().min(1).max(4),
    }),
  }),
]);

const sealedRecord = sealed.extend({
  vault_id: z.string(),
  credential_id: z.string(),
  secret_id: z.string(),
  issuer: z.string(),
  key_id: z.string(),
});

/** The model endpoint that a person entered. The credential itself is a sealed record bound to `base_url`. */
const modelSetting = z.object({
  base_url: z.string().min(1),
  /** Null for an endpoint that wants none. */
  credential: z.enum(["api_key", "auth_token"]).nullable(),
});

const content = z.object({
  format: z.literal(FORMAT),
  keys: z.array(keyEntry),
  records: z.array(sealedRecord),
  model: modelSetting.nullable().default(null),
  /** Ids of keys that may be in the keychain and seal nothing: to be removed from it as soon as it can be asked. */
  leftover_keys: z.array(z.string()).default([]),
});

/** A master key as the file knows it: where the key itself is, and a text sealed with it to tell the right one. */
export type KeyEntry = z.output<typeof keyEntry>;
export type SealedRecord = z.output<typeof sealedRecord>;

export type ModelSetting = z.output<typeof modelSetting>;
export type SealedContent = Omit<z.output<typeof content>, "format">;

export class SealedFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Empty when there is no file yet. @throws Refusal when it is there and cannot be understood: it is never replaced then */
  async read(): Promise<SealedContent> {
    let text: string;
    try {
      text = await readFile(this.path, "utf8");
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR")
        return { keys: [], records: [], model: null, leftover_keys: [] };
      const message = `The file of sealed credentials ${this.path} cannot be read (${codeOf(error)}). Nothing was changed. Make it readable for this user, then try again.`;
      throw new Refusal(500, "api_error", message, "store_unreadable");
    }
    return this.#parse(text);
  }

  #parse(text: string): SealedContent {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw this.#damaged("it is not JSON");
    }
    const format = (value as { format?: unknown } | null)?.format;
    if (typeof format === "number" && format > FORMAT) {
      const message = `The file of sealed credentials ${this.path} was written by a newer version of Longhaul. Nothing was changed. Use that version.`;
      throw new Refusal(400, "invalid_request_error", message, "store_unreadable");
    }
    const result = content.safeParse(value);
    if (!result.success) throw this.#damaged("parts of it are missing");
    const { format: _, ...known } = result.data;
    return known;
  }

  #damaged(why: string): Refusal {
    const message = `The file of sealed credentials ${this.path} is damaged (${why}), so it is left as it is. Put back a copy of it, or move it away and create the credentials again.`;
    return new Refusal(400, "invalid_request_error", message, "store_unreadable");
  }

  /** Durable when it resolves. @throws Refusal when it cannot be written; the former content is still there then */
  async write(next: SealedContent): Promise<void> {
    const text = `${JSON.stringify({ format: FORMAT, ...next }, null, 1)}\n`;
    if (text.length > MAX_BYTES) {
      throw this.#unwritable("too many credentials are stored; delete vaults that are not needed");
    }
    const folder = dirname(this.path);
    const fresh = `${this.path}.new`;
    try {
      await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
        if (codeOf(error) !== "EEXIST") throw error;
      });
      // One of a process that was killed here; only one process writes.
      await rm(fresh, { force: true });
      await writeDurably(fresh, text);
      await rename(fresh, this.path);
      await syncFolder(folder);
    } catch (error) {
      await rm(fresh, { force: true }).catch(() => undefined);
      throw this.#unwritable(codeOf(error));
    }
  }

  #unwritable(why: string): Refusal {
    const message = `The file of sealed credentials ${this.path} cannot be written (${why}). What was stored before is unchanged. Free disk space or make the folder writable, then try again.`;
    return new Refusal(500, "api_error", message, "store_unwritable");
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes the new name durable. Windows has no such thing for folders. */
async function syncFolder(path: string): Promise<void> {
  let folder: FileHandle;
  try {
    folder = await open(path, "r");
  } catch (error) {
    if (process.platform === "win32") return;
    throw error;
  }
  try {
    await folder.sync();
  } catch (error) {
    if (process.platform !== "win32") throw error;
  } finally {
    await folder.close();
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error instanceof Error ? error.name : error);
