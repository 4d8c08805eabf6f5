/** Reads the server-sent events of a response body, and gives up on one that has gone silent. */
import { SseParser } from "../../contract/sse/sse.ts";

/**
 * Yields the `data` of each event as it arrives. A frame without its ending blank line is not yielded (it may be half).
 * @param idleMs after this long without a byte the body counts as dead and an error is thrown
 */
export async function* readEvents(body: ReadableStream<Uint8Array>, idleMs: number): AsyncGenerator<string> {
  const reader = body.getReader();
  const parser = new SseParser();
  try {
    for (;;) {
      const { done, value } = await withinIdle(reader.read(), idleMs);
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    // The connection is of no use to anyone once its reader left; a failing cancel means that it is gone already.
    await reader.cancel().catch(() => undefined);
  }
}

async function withinIdle<T>(read: Promise<T>, idleMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const idle = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no byte for ${idleMs} ms`)), idleMs);
  });
  try {
    return await Promise.race([read, idle]);
  } finally {
    clearTimeout(timer);
  }
}
