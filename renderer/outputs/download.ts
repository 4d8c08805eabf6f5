/** Saves an output of the agent to this computer. The token travels in a header: in an address it would be logged and shared. */
import type { OutputFile } from "../../main/contract/local_api.ts";
import { openOutput } from "../api/local.ts";
import { Problem } from "../api/problem.ts";
import { visible } from "../format/visible.ts";

/** Bytes collected in this page before they are handed to the browser, which keeps large ones on disk. */
const PIECE = 8_000_000;
/** How long the browser may take to begin saving. */
const KEEP_MS = 60_000;

/** What the file is saved as: its own name, without characters that would make it look like another. */
export function saveName(path: string): string {
  return visible(path.split("/").at(-1) ?? "").replace(/[\\/:*?"<>|]/g, "_") || "output";
}

/**
 * Fetches the file and gives it to the browser to save.
 * @param onProgress told the bytes received so far
 * Rejects with a `Problem`; with the signal's reason when it was cancelled.
 */
export async function download(
  session: string,
  file: OutputFile,
  signal: AbortSignal,
  onProgress: (received: number) => void,
): Promise<void> {
  const response = await openOutput(session, file.path, signal);
  const blob = await collect(response, onProgress, signal);
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = saveName(file.path);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
}

async function collect(response: Response, onProgress: (received: number) => void, signal: AbortSignal): Promise<Blob> {
  const reader = response.body?.getReader();
  const pieces: Blob[] = [];
  let waiting: BlobPart[] = [];
  let size = 0;
  let received = 0;
  const hand = (): void => {
    pieces.push(new Blob(waiting));
    waiting = [];
    size = 0;
  };
  try {
    while (reader !== undefined) {
      const { done, value } = await reader.read();
      if (done) break;
      waiting.push(value);
      size += value.byteLength;
      received += value.byteLength;
      if (size >= PIECE) hand();
      onProgress(received);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Problem("away", "The download broke off.", "The file is still in the sandbox. Try again.");
  }
  hand();
  // Without a type the browser only saves it: nothing that an agent wrote is opened as a page.
  return new Blob(pieces, { type: "application/octet-stream" });
}
