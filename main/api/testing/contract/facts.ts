/**
 * What the tests saw of the API: kept as lines of JSON for `npm run contract`, and faults that fail the test that met them.
 * Facts are written only when LONGHAUL_CONTRACT_FACTS names a folder; each process writes a file of its own.
 */
import { appendFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";

/**
 * What answered. The memory rig's events are made up by tests, so only the product's count as produced; nothing that a stub
 * answers counts.
 */
export type ServerKind = "memory" | "product" | "stub";

export type Fact =
  | {
      kind: "call";
      /** Version of the SDK that made the call. */
      sdk: string;
      server: ServerKind;
      method: string;
      /** Helper of the SDK that made the call, for example `session-tool-runner`. */
      helpers: string[];
      status: number;
      error: string | null;
      /** Number of faults of the response. */
      faults: number;
      test: string;
    }
  | { kind: "event"; sdk: string; server: ServerKind; type: string; test: string };

const folder = process.env["LONGHAUL_CONTRACT_FACTS"];
const written = new Set<string>();
const faults: string[] = [];

/** Set in vitest's workers only; programs that the tests start inherit the environment but not this. */
const vitest = "__vitest_worker__" in globalThis ? await import("vitest") : null;

/** True inside a test run. */
export const recording: boolean = vitest !== null;

vitest?.afterEach(failOnFaults);
vitest?.afterAll(failOnFaults);

/** Writes a fact down, once per test. */
export function note(fact: Fact extends infer F ? (F extends Fact ? Omit<F, "test"> : never) : never): void {
  if (folder === undefined) return;
  const state = vitest?.expect.getState();
  const line = JSON.stringify({ ...fact, test: `${state?.testPath ?? ""} > ${state?.currentTestName ?? "(set-up)"}` });
  if (written.has(line)) return;
  written.add(line);
  mkdirSync(folder, { recursive: true });
  appendFileSync(join(folder, `${process.pid}-${process.env["VITEST_POOL_ID"] ?? "0"}.jsonl`), `${line}\n`);
}

/** A response was not what the SDK's types say: the running test fails for it. */
export function noteFaults(where: string, found: readonly string[]): void {
  if (found.length > 0)
    faults.push(
      `${where}\n${found
        .slice(0, 20)
        .map((fault) => `    ${fault}`)
        .join("\n")}`,
    );
}

/** The faults so far, which then no longer fail the test: for tests that cause them. */
export function takeFaults(): string[] {
  return faults.splice(0);
}

function failOnFaults(): void {
  const found = takeFaults();
  if (found.length > 0) throw new Error(`Responses do not fit the SDK's types:\n${found.join("\n")}`);
}
