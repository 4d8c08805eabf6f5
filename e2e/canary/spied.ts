/** A product whose processes tell a test what only they know, and write their heaps down when they are asked to. */
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Product, type ServeOptions, serve, until } from "../product/serve.ts";

const SPY = new URL("./spy.cjs", import.meta.url).pathname;

interface Note {
  pid: number;
  kind: "launch" | "bearer";
  value: string;
}

export interface Spied {
  product: Product;
  launchSecret(): string;
  /** Capability tokens that the engine has used so far. */
  capabilities(): string[];
  /** Bytes of a snapshot of the process's heap as it is now. */
  heapOf(pid: number): Promise<Buffer>;
}

/** @param folder for what the processes write down; must be outside of the data directory */
export async function serveSpied(folder: string, options: ServeOptions = {}): Promise<Spied> {
  const heaps = join(folder, "heaps");
  mkdirSync(heaps, { recursive: true });
  const file = join(folder, "notes.jsonl");
  const env = {
    ...options.env,
    CANARY_SPY_FILE: file,
    NODE_OPTIONS: `--require ${SPY} --heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${heaps}`,
  };
  const product = await serve({ ...options, env });
  const notes = (): Note[] => {
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    return text
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Note);
  };
  const launchSecret = (): string => {
    const noted = notes().find(({ kind }) => kind === "launch");
    if (noted === undefined) throw new Error("no process was booted");
    return noted.value;
  };
  const capabilities = (): string[] => {
    const bearers = notes().filter(({ kind, value }) => kind === "bearer" && value !== launchSecret());
    return [...new Set(bearers.map(({ value }) => value))];
  };
  const heapOf = async (pid: number): Promise<Buffer> => {
    const known = new Set(readdirSync(heaps));
    process.kill(pid, "SIGUSR2");
    return until(
      `a heap snapshot of ${pid}`,
      async () => {
        const name = readdirSync(heaps).find((each) => !known.has(each) && each.includes(`.${pid}.`));
        if (name === undefined) return null;
        const bytes = readFileSync(join(heaps, name));
        // Written in one go by the process itself: its end shows that it is whole.
        return bytes.subarray(-8).toString().trimEnd().endsWith("}") ? bytes : null;
      },
      110_000,
    );
  };
  return { product, launchSecret, capabilities, heapOf };
}
