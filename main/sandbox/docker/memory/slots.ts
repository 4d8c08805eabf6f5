/**
 * Texts kept in a container as root's own, where a checkpoint copies them together with the files they tell of. Each has
 * two places that take turns: an engine replaces a file by removing it first, and could be ended in between.
 */

import type { Container } from "../ports.ts";
import { entriesOf, STATE_DIR, tarOf } from "../resources/inside.ts";

const FOLDER = `${STATE_DIR}/memory`;
/** 2,000 memories with the longest of paths. */
const MAX_BYTES = 4 * 1024 * 1024;

interface Slot {
  turn: number;
  text: string;
}

export class Slots {
  readonly #turns = new Map<string, number>();

  /** The text that was written last; null when there is none. */
  async read(container: Container, name: string): Promise<string | null> {
    let newest: Slot | null = null;
    for (const turn of [0, 1]) {
      const slot = await readSlot(container, `${FOLDER}/${name}.${turn}`);
      if (slot !== null && (newest === null || slot.turn > newest.turn)) newest = slot;
    }
    this.#turns.set(name, newest?.turn ?? 0);
    return newest?.text ?? null;
  }

  async write(container: Container, name: string, text: string): Promise<void> {
    const turn = (this.#turns.get(name) ?? 0) + 1;
    const content = Buffer.from(JSON.stringify({ turn, text } satisfies Slot));
    const folders = [STATE_DIR, FOLDER].map((path) => ({ path, mode: 0o755, content: "folder" as const }));
    await container.putTar("/", tarOf([...folders, { path: `${FOLDER}/${name}.${turn % 2}`, content }]));
    this.#turns.set(name, turn);
  }
}

async function readSlot(container: Container, path: string): Promise<Slot | null> {
  const tar = await container.getTar(path);
  if (tar === null) return null;
  const chunks: Buffer[] = [];
  for await (const { header, body } of entriesOf(tar)) {
    if (header.type !== "file" || (header.size ?? 0) > MAX_BYTES) break;
    for await (const chunk of body) chunks.push(chunk);
    break;
  }
  try {
    const { turn, text } = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Partial<Slot>;
    return typeof turn === "number" && typeof text === "string" ? { turn, text } : null;
  } catch {
    // Torn: the other one is whole.
    return null;
  }
}
