/** The pipes of a program that runs in a container. */
import type { Readable, Writable } from "node:stream";

export interface ExecStream {
  readonly stdin: Writable;
  /** Standard output alone. */
  readonly stdout: Readable;
  /** The last 16 KiB of standard error. */
  stderr(): string;
  /** Resolves when the program has ended or the connection to it is gone; never rejects. */
  readonly closed: Promise<void>;
  /** Ends the connection; the program sees the end of its input. */
  destroy(): void;
}
