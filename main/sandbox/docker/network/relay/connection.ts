/** One connection of a program in the container, seen from the engine. Both directions are bounded by {@link WINDOW}. */
import { Duplex } from "node:stream";
import { FRAME, type FrameType, frameHeader, MAX_PAYLOAD, WINDOW, windowFrame } from "./frames.ts";

/** Payloads below this are gathered while nobody reads them. */
const SMALL = 4 * 1024;

export interface ConnectionLink {
  /** False when the pipe to the relay is full; `whenWritable` calls back when it is not any more. */
  send(...parts: Buffer[]): boolean;
  whenWritable(callback: () => void): void;
}

export class RelayConnection extends Duplex {
  readonly #id: number;
  readonly #link: ConnectionLink;
  /** Bytes that the relay takes without having confirmed any. */
  #credit = WINDOW;
  #unsent: { rest: Buffer; done: (error?: Error | null) => void } | null = null;
  #received: Buffer[] = [];
  /** Bytes that still fit into the block of the last of these; 0 when it is none. */
  #room = 0;
  /** Bytes that the relay sent and that were not confirmed to it. */
  #outstanding = 0;
  #taken = 0;
  #ended = false;
  /** Our reader has room: pushing on without it would confirm bytes that nobody has taken. */
  #wanted = false;
  #over = false;

  constructor(id: number, link: ConnectionLink) {
    super({ allowHalfOpen: true, writableHighWaterMark: MAX_PAYLOAD, readableHighWaterMark: SMALL });
    this.#id = id;
    this.#link = link;
  }

  /** Data from the container. False when it sent more than its window: the relay is not ours or broken. */
  receive(payload: Buffer): boolean {
    this.#outstanding += payload.length;
    if (this.#outstanding > WINDOW) return false;
    this.#keep(payload);
    this.#pump();
    return true;
  }

  /**
   * Copies: a byte would hold the whole chunk that it came in. Small ones that wait share a block, since a window full of
   * single bytes would be a hundred times its size in objects.
   */
  #keep(payload: Buffer): void {
    const last = this.#received.at(-1);
    if (payload.length >= SMALL || this.#wanted) this.#received.push(Buffer.from(payload));
    else if (last === undefined || this.#room < payload.length) {
      const block = Buffer.allocUnsafeSlow(SMALL);
      this.#room = SMALL - payload.copy(block);
      this.#received.push(block.subarray(0, payload.length));
    } else {
      const joined = Buffer.from(last.buffer, last.byteOffset, last.length + payload.length);
      this.#room -= payload.copy(joined, last.length);
      this.#received[this.#received.length - 1] = joined;
    }
    if (payload.length >= SMALL || this.#wanted) this.#room = 0;
  }

  receiveEnd(): void {
    this.#ended = true;
    this.#pump();
  }

  /** The other side is gone: nothing is sent back. */
  breakOff(): void {
    this.#over = true;
    this.destroy();
  }

  grant(bytes: number): void {
    this.#credit = Math.min(WINDOW, this.#credit + bytes);
    this.#sendUnsent();
  }

  override _read(): void {
    this.#wanted = true;
    this.#pump();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#unsent = { rest: chunk, done };
    this.#sendUnsent();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#send(FRAME.end);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const regular = this.readableEnded && this.writableFinished;
    if (!this.#over && !regular) this.#send(FRAME.reset);
    this.#over = true;
    this.#received = [];
    const unsent = this.#unsent;
    this.#unsent = null;
    unsent?.done(new Error("The connection was closed."));
    done(error);
  }

  #send(type: FrameType): void {
    this.#link.send(frameHeader(type, this.#id, 0));
  }

  #pump(): void {
    while (this.#wanted) {
      const chunk = this.#received.shift();
      if (chunk === undefined) break;
      if (this.#received.length === 0) this.#room = 0;
      this.#taken += chunk.length;
      this.#outstanding -= chunk.length;
      this.#wanted = this.push(chunk);
      this.#confirm();
    }
    if (this.#received.length === 0 && this.#ended) {
      this.#ended = false;
      this.push(null);
    }
  }

  /** Confirms in portions: a frame per chunk would double the traffic of small ones. */
  #confirm(): void {
    if (this.#taken < WINDOW / 4 || this.#over) return;
    this.#link.send(windowFrame(this.#id, this.#taken));
    this.#taken = 0;
  }

  #sendUnsent(): void {
    while (this.#unsent !== null && this.#credit > 0 && !this.#over) {
      const { rest, done } = this.#unsent;
      const part = rest.subarray(0, Math.min(rest.length, this.#credit, MAX_PAYLOAD));
      this.#credit -= part.length;
      const writable = this.#link.send(frameHeader(FRAME.data, this.#id, part.length), part);
      this.#unsent = part.length === rest.length ? null : { rest: rest.subarray(part.length), done };
      if (!writable) {
        if (this.#unsent === null) this.#link.whenWritable(done);
        else this.#link.whenWritable(() => this.#sendUnsent());
        return;
      }
      if (this.#unsent === null) done();
    }
  }
}
