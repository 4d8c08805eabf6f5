/** Reads what the engine reports while it pulls, builds or imports: JSON objects, one after the other. */
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";

/** Of one report; a longer one is cut and then passed over. */
const LINE_LIMIT = 1024 * 1024;

/** The fields that are used here (Engine API, "Create an image" and "Build an image"). */
export interface EngineReport {
  /** Layer of a pull. */
  id?: string;
  status?: string;
  progressDetail?: { current?: number; total?: number };
  /** Output of a build. */
  stream?: string;
  error?: string;
}

/** The engine has reported nothing for too long. */
export class Stalled extends Error {
  override readonly name = "Stalled";
}

/**
 * Yields each report. Rejects with {@link Stalled} after `stallMs` of silence, with the signal's reason when it is aborted, and
 * with an Error that has the engine's words when it reports a failure. The stream is closed at the end in any case,
 * which makes the engine give up what it was doing.
 */
export async function* reports(stream: Readable, stallMs: number, signal: AbortSignal): AsyncGenerator<EngineReport> {
  const stalled = (): unknown =>
    stream.destroy(new Stalled(`the engine reported no progress for ${Math.round(stallMs / 1000)} s`));
  const aborted = (): unknown => stream.destroy(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
  let timer = setTimeout(stalled, stallMs);
  signal.addEventListener("abort", aborted, { once: true });
  const decoder = new StringDecoder("utf8");
  let rest = "";
  try {
    if (signal.aborted) aborted();
    for await (const bytes of stream) {
      clearTimeout(timer);
      timer = setTimeout(stalled, stallMs);
      const lines = (rest + decoder.write(bytes as Buffer)).split("\n");
      rest = (lines.pop() ?? "").slice(0, LINE_LIMIT);
      for (const line of lines) {
        const report = parse(line);
        if (report?.error !== undefined) throw new Error(report.error);
        if (report !== null) yield report;
      }
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", aborted);
    stream.destroy();
  }
}

function parse(line: string): EngineReport | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as EngineReport) : null;
  } catch {
    // Engines send empty lines and, on a broken connection, half of one.
    return null;
  }
}

/** Sums up a pull layer by layer: "3 of 8 layers, 45 of 120 MB". */
export class PullProgress {
  readonly #layers = new Map<string, { current: number; total: number; done: boolean }>();

  /** The line to show after this report; null when it says nothing about a layer. */
  add(report: EngineReport): string | null {
    const { id, status, progressDetail } = report;
    if (id === undefined || status === undefined || /^Pulling from /.test(status)) return null;
    const layer = this.#layers.get(id) ?? { current: 0, total: 0, done: false };
    this.#layers.set(id, layer);
    if (status === "Downloading") {
      layer.current = progressDetail?.current ?? layer.current;
      layer.total = progressDetail?.total ?? layer.total;
    } else if (/^(Download complete|Verifying|Extracting)/.test(status)) {
      layer.current = layer.total;
    } else if (/^(Pull complete|Already exists)$/.test(status)) {
      layer.current = layer.total;
      layer.done = true;
    }
    const layers = [...this.#layers.values()];
    const sum = (of: "current" | "total"): number => Math.round(layers.reduce((all, next) => all + next[of], 0) / 1e6);
    return `${layers.filter(({ done }) => done).length} of ${layers.length} layers, ${sum("current")} of ${sum("total")} MB`;
  }
}
