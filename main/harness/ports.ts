/** Everything a step may touch: the ports of one running session. */

import type { TokenPrice } from "../contract/cost/prices.ts";
import type { EventDraft, StoredEvent } from "../contract/events.ts";
import type { BlobStore, Catalog } from "../session/catalog.ts";
import type { Ledger } from "../session/ledger.ts";
import type { LiveDeltas } from "../session/live.ts";
import type { McpTools } from "../tools/mcp/port.ts";
import type { Limits } from "./decide.ts";
import type { HandPool } from "./hands.ts";
import type { ModelPort } from "./model.ts";
import type { WebTools } from "./web/port.ts";

/** Shared by all sessions of an engine. */
export interface HarnessPorts {
  ledger: Ledger;
  catalog: Catalog;
  blobs: BlobStore;
  live: LiveDeltas;
  model: ModelPort;
  hands: HandPool;
  web: WebTools;
  mcp: McpTools;
  limits: Limits & {
    /** Failed model requests in a row before the turn is given up. Being offline does not count. */
    max_failures: number;
  };
  /** List price of a model now; null when it has none. */
  priceOf: (model: string) => TokenPrice | null;
  now: () => number;
  /** Uniform in [0, 1): jitter of retry delays. */
  random: () => number;
}

export interface StepSignals {
  /** The person interrupted: stop the response and the running calls. */
  interrupt: AbortSignal;
  /** This process is going away: let go of everything, stop nothing in the sandbox. */
  shutdown: AbortSignal;
}

/** Appends fenced by the running lease; resolves when fold and transcript hold the events. */
export type Emit = (events: readonly EventDraft[]) => Promise<StoredEvent[]>;
