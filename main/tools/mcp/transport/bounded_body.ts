/** A response body of which no part grows beyond what the engine can hold. */
import type { IncomingMessage } from "node:http";

/** Bytes of a whole answer, or of one event in a stream. Larger than any result that a model could be given. */
const MAX_BYTES = 24 * 1024 * 1024;

const LF = 10;
const CR = 13;

/**
 * The body as a web stream that fails beyond the limit or when the connection breaks. What is not read is not fetched.
 * @param stream an event stream: only single events are bounded, for the stream may last for hours
 * @param onEnd once, when nothing more comes: ended, broken or given up
 */
export function boundedBody(
  response: IncomingMessage,
  stream: boolean,
  onEnd: () => void,
  maxBytes = MAX_BYTES,
): ReadableStream<Uint8Array> {
  const chunks = (response as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  const size = new SizeOfPart(stream);
  let over = false;
  const end = (): void => {
    if (!over) onEnd();
    over = true;
  };
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (done === true) {
          end();
          controller.close();
          return;
        }
        if (size.after(value) > maxBytes) throw new Error(`The MCP server's answer is larger than ${maxBytes} bytes.`);
        controller.enqueue(value);
      } catch (error) {
        response.destroy();
        end();
        controller.error(error);
      }
    },
    cancel() {
      response.destroy();
      end();
    },
  });
}

/** Counts bytes; in an event stream, since the last blank line. */
class SizeOfPart {
  readonly #stream: boolean;
  #size = 0;
  #lineEmpty = true;
  #afterReturn = false;

  constructor(stream: boolean) {
    this.#stream = stream;
  }

  after(chunk: Uint8Array): number {
    this.#size += chunk.byteLength;
    if (!this.#stream) return this.#size;
    for (let index = 0; index < chunk.byteLength; index += 1) {
      const byte = chunk[index];
      if (byte === LF && this.#afterReturn) {
        // The second half of a line's end.
        this.#afterReturn = false;
      } else if (byte === LF || byte === CR) {
        if (this.#lineEmpty) this.#size = chunk.byteLength - index;
        this.#lineEmpty = true;
        this.#afterReturn = byte === CR;
      } else {
        this.#lineEmpty = false;
        this.#afterReturn = false;
      }
    }
    return this.#size;
  }
}
