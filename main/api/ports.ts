/** Everything the HTTP API needs from the engine. Composed in `main/compose.ts`; tests pass memory adapters. */

import type { Readable } from "node:stream";
import type { PriceTable } from "../contract/cost/prices.ts";
import type { SessionFold } from "../contract/fold.ts";
import type { BroughtBack, Health, OutputFile, RepositoryChanges, RequestContext } from "../contract/local_api.ts";
import type { CredentialVault } from "../contract/vaults/broker_api.ts";
import type { BrokerSettings } from "../contract/vaults/settings.ts";
import type { Orchestrator } from "../orchestration/port.ts";
import type { Schedules } from "../orchestration/schedules/port.ts";
import type { BlobStore, Catalog } from "../session/catalog.ts";
import type { Ledger } from "../session/ledger.ts";
import type { LiveDeltas } from "../session/live.ts";
import type { Records } from "../session/records/records.ts";
import type { WorkerCredentials, WorkQueue } from "../workers/port.ts";
import type { LastUses } from "./local/connections/last_uses.ts";

/** An unexpected failure, for the log. Never holds a body, a header or a query: those may carry secrets. */
export interface FailureReport {
  request_id: string;
  method: string;
  path: string;
  error: unknown;
}

export interface ApiPorts {
  ledger: Ledger;
  catalog: Catalog;
  records: Records;
  blobs: BlobStore;
  live: LiveDeltas;
  /** Work of `self_hosted` environments, and who serves it. */
  work: WorkQueue;
  credentials: WorkerCredentials;
  orchestrator: Orchestrator;
  schedules: Schedules;
  /** Where the values of credentials are sealed: the broker. Nothing of them is kept or logged on this side. */
  vault: CredentialVault;
  /** Masks known secret values in what an error says. Default: nothing is known. */
  scrub?(text: string): string;
  /** The model endpoint and the key of sealed values, both the broker's. */
  settings: BrokerSettings;
  /** When credentials were last used; whoever hears of uses tells it. Default: nobody does. */
  lastUses?: LastUses;
  /** The API key: 256 bits. */
  token: string;
  /** Origins of the app's own windows that are not served from here; the API's own origin is always allowed. */
  allowedOrigins(): readonly string[];
  /** Exact values of the `Host` header, for example `127.0.0.1:40123` and `localhost:40123`. */
  allowedHosts(): readonly string[];
  /** What the agent changed in each attached repository. Rejects with ChangesUnavailable or SandboxLost. */
  changes(sessionId: string): Promise<RepositoryChanges[]>;
  /**
   * Makes the changes of the repository at `mountPath` a branch of the person's repository; an empty list when there are
   * none. Rejects with BringBackRefused or SandboxLost.
   */
  bringBack(sessionId: string, mountPath: string): Promise<BroughtBack[]>;
  /** At most `MAX_OUTPUTS + 1` files that the agent left as outputs. Rejects with SandboxLost. */
  outputs(sessionId: string): Promise<OutputFile[]>;
  /** The bytes of one of them; null when there is no such regular file. Rejects with SandboxLost. */
  readOutput(sessionId: string, path: string): Promise<{ size: number; stream: Readable } | null>;
  /**
   * Resolves when the session's outputs are files of it as they are now, or a while later without them when its sandbox
   * is slow; never rejects.
   */
  storeOutputs(sessionId: string): Promise<void>;
  /** The exact request of one model call, rebuilt; null when the span is unknown. */
  requestContext(sessionId: string, modelRequestStartId: string): Promise<RequestContext | null>;
  /** List prices as they hold now, by model id. */
  prices(): PriceTable;
  health(): Promise<Health>;
  /** Removes the sandbox of a deleted session for good; its last state says where it was. Idempotent. */
  destroySandbox(session: SessionFold): Promise<void>;
  /** Takes from the session the right to use credentials. Idempotent. */
  revokeCapability(sessionId: string): Promise<void>;
  /** True once for a code that was handed out. */
  redeemSignInCode(code: string): boolean;
  /** Folder of the built user interface; null serves the API only. */
  rendererDir: string | null;
  /** Told about failures that are this program's fault. Default: one JSON line on standard error. */
  reportFailure?(report: FailureReport): void;
  /** Milliseconds since the epoch. Default: the clock. */
  now?(): number;
}
