/** A container of the engine, for the parts of the provider that work in it. */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import type Docker from "dockerode";
import type { ExecStream } from "../../runner/stream.ts";
import type { Container, ExecOptions, ExecResult } from "../ports.ts";
import { EngineError, engineCall, LOOK_MS, WORK_MS } from "./engine_call.ts";
import { openExec, runExec } from "./exec.ts";

/** Archives can be gigabytes. */
const STREAM_MS = 15 * 60_000;
/** An archive of which nothing came for so long is given up. */
const STALLED_MS = 5 * 60_000;

export class DockerContainer implements Container {
  readonly id: string;
  readonly sessionId: string;
  readonly docker: Docker;

  constructor(docker: Docker, id: string, sessionId: string) {
    this.docker = docker;
    this.id = id;
    this.sessionId = sessionId;
  }

  exec(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return runExec(this.docker, this.id, argv, options);
  }

  open(argv: readonly string[], options: Pick<ExecOptions, "user" | "cwd" | "env"> = {}): Promise<ExecStream> {
    return openExec(this.docker, this.id, argv, options);
  }

  async putTar(path: string, tar: Readable | Uint8Array): Promise<void> {
    const body = tar instanceof Readable ? tar : Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength);
    const limit = tar instanceof Readable ? STREAM_MS : WORK_MS;
    await engineCall(this.docker, `unpack files into ${path}`, limit, (abortSignal) =>
      this.docker.getContainer(this.id).putArchive(body, { path, abortSignal }),
    );
  }

  async getTar(path: string): Promise<Readable | null> {
    try {
      const stream = await engineCall(this.docker, `read ${path}`, LOOK_MS, (abortSignal) =>
        this.docker.getContainer(this.id).getArchive({ path, abortSignal }),
      );
      const message = stream as IncomingMessage;
      message.setTimeout(STALLED_MS, () => message.destroy(new Error(`reading ${path} stalled`)));
      return message;
    } catch (error) {
      // Both a missing container and a missing file are answered with 404.
      if (error instanceof EngineError && error.fault.status === 404 && error.fault.kind !== "no_container")
        return null;
      throw error;
    }
  }

  /** True when there is something at `path`. Works on a stopped container too. */
  async exists(path: string): Promise<boolean> {
    try {
      await engineCall(this.docker, `look for ${path}`, LOOK_MS, (abortSignal) =>
        this.docker.getContainer(this.id).infoArchive({ path, abortSignal }),
      );
      return true;
    } catch (error) {
      if (error instanceof EngineError && error.fault.status === 404 && error.fault.kind !== "no_container")
        return false;
      throw error;
    }
  }
}
