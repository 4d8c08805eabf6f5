/** What the parts of the Docker provider need of a container and of the outside; `container.ts` implements the first. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex, Readable } from "node:stream";
import type { EventDraft } from "../../contract/events.ts";
import type { ExecStream } from "../runner/stream.ts";

export interface ExecOptions {
  /** `root` is for provisioning only; commands of the agent always run as the agent. Default: the agent. */
  user?: "agent" | "root";
  cwd?: string;
  env?: Record<string, string>;
  /** Bytes for standard input. */
  input?: Readable | Uint8Array;
  /** Milliseconds; the command is killed and the promise rejects after it. Default 60,000. */
  timeoutMs?: number;
  /** Bytes of standard output beyond which the command is killed and the promise rejects. Default 64 MiB. */
  maxOutput?: number;
  /** Told lines of standard error while the command runs (progress). */
  onLine?: (line: string) => void;
}

export interface ExecResult {
  exitCode: number;
  stdout: Buffer;
  /** The last 16 KiB. */
  stderr: string;
}

/** One container of the engine. Every method rejects with SandboxLost when the engine or the container is gone. */
export interface Container {
  readonly id: string;
  readonly sessionId: string;
  /** Runs a program beside the runner and waits for it. Rejects also on a time or output limit. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** Starts a program with pipes that stay open. */
  open(argv: readonly string[], options?: Pick<ExecOptions, "user" | "cwd" | "env">): Promise<ExecStream>;
  /** Unpacks a tar archive into the folder `path`, which must exist. Owners in the archive are kept. */
  putTar(path: string, tar: Readable | Uint8Array): Promise<void>;
  /** A tar archive of the file or folder `path`; null when it does not exist. Works on a stopped container too. */
  getTar(path: string): Promise<Readable | null>;
}

/** What a sandbox may reach by its environment's `networking`. */
export type EgressPolicy =
  | { mode: "unrestricted" }
  /** Host patterns: `example.com`, `*.example.com`. */
  | { mode: "limited"; allowed_hosts: readonly string[] };

/** With what the broker must know of the sandbox: whether it trusts the certificates of decrypted connections. */
export type RoutePolicy = EgressPolicy & { intercept?: boolean };

/**
 * The way out of `limited` sandboxes, and of others for requests that need values of variables: the broker's egress
 * route, used on behalf of a session.
 */
export interface EgressRoute {
  /** Tells the broker what the session may reach; again after the broker was restarted. */
  allow(sessionId: string, policy: RoutePolicy): Promise<void>;
  /** PEM of the authority that a sandbox with variables trusts. Rejects with an Error in words that a person can act on. */
  certificate(): Promise<string>;
  /** A connection to the host. Rejects with an Error whose message says which rule refused it, or why it failed. */
  connect(sessionId: string, host: string, port: number): Promise<Duplex>;
}

/** An attached repository as the git route serves it. */
export interface RoutedRepository {
  /** Of the session's resource. */
  id: string;
  /** As it was attached. */
  url: string;
  /** The one branch that may be pushed to, without `refs/heads/`; null when nothing may be pushed. */
  branch: string | null;
}

/** The way to attached repositories: the broker's git route, used on behalf of a session. */
export interface GitRoute {
  /** Rejects when it cannot be told. */
  repositories(sessionId: string): Promise<readonly RoutedRepository[]>;
  /** Answers one request of a sandbox for `/git/<host>/<path>`. Never rejects. */
  forward(sessionId: string, incoming: IncomingMessage, response: ServerResponse): Promise<void>;
}

/** Appends an event to a session outside of its lease. Never rejects. */
export type TellSession = (sessionId: string, event: EventDraft) => void;
