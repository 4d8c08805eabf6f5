/**
 * Frames between the relay in a container and the engine: type (1 byte), connection (4), length (4, big-endian), payload.
 * Whoever is in the container can send any bytes here, so the reader bounds and checks everything.
 */

/** Largest payload of one frame. */
export const MAX_PAYLOAD = 64 * 1024;
/** Bytes that may be under way per connection and direction before the receiver has taken some. */
export const WINDOW = 256 * 1024;
/** Connections of one sandbox at a time; more wait in the listener's queue. */
export const MAX_CONNECTIONS = 128;

export const FRAME = {
  /** The relay listens. */
  hello: 0x48,
  /** A program in the container has connected. */
  open: 0x4f,
  data: 0x44,
  /** No more data in this direction. */
  end: 0x45,
  /** The connection broke. */
  reset: 0x52,
  /** Four bytes: so many more bytes may be sent. */
  window: 0x57,
  /** Ping from the engine, and the same back from the relay. */
  ping: 0x50,
  /** The relay cannot work; the payload says why. */
  failed: 0x58,
} as const;

export type FrameType = (typeof FRAME)[keyof typeof FRAME];

export interface Frame {
  type: FrameType;
  connection: number;
  payload: Buffer;
}

const HEADER = 9;
const TYPES = new Set<number>(Object.values(FRAME));

export function frameHeader(type: FrameType, connection: number, length: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header[0] = type;
  header.writeUInt32BE(connection, 1);
  header.writeUInt32BE(length, 5);
  return header;
}

export function windowFrame(connection: number, bytes: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32BE(bytes);
  return Buffer.concat([frameHeader(FRAME.window, connection, 4), payload]);
}

/** Cuts a byte stream into frames. Holds less than one frame between chunks. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);

  /** The frames that are complete with this chunk. Throws when the bytes are no frames; the stream is lost then. */
  *push(chunk: Buffer): Generator<Frame> {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    while (rest.length >= HEADER) {
      const type = rest[0] ?? 0;
      const length = rest.readUInt32BE(5);
      if (!TYPES.has(type) || length > MAX_PAYLOAD) throw new Error("The relay in the container sent no valid frame.");
      if (rest.length < HEADER + length) break;
      const payload = rest.subarray(HEADER, HEADER + length);
      const connection = rest.readUInt32BE(1);
      rest = rest.subarray(HEADER + length);
      yield { type: type as FrameType, connection, payload };
    }
    this.#held = rest;
  }
}
