/** The local API as the commands use it. `/v1` goes through the official SDK, `/longhaul/v1` through fetch. */
import { setTimeout as sleep } from "node:timers/promises";
import type Anthropic from "@anthropic-ai/sdk";
import type {
  Health,
  RepositoryChanges,
  SessionSummary,
  SessionSummaryPage,
  TimelineFrame,
} from "../contract/local_api.ts";
import type {
  ModelChange,
  ModelSettings,
  ModelTest,
  Rotation,
  RotationRequest,
  VaultStatus,
} from "../contract/vaults/settings.ts";
import type { EngineFacts } from "../supervise.ts";
import { CommandFailed } from "./command.ts";
import { readEvents } from "./engine/sse.ts";

/** An answer of the local API that is not a success. */
export class ApiRefusal extends CommandFailed {
  override readonly name = "ApiRefusal";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Longer than the engine's keep-alive comments are apart: silence beyond it is a dead connection, as after sleep. */
const IDLE_MS = 60_000;
type Method = "GET" | "POST" | "PUT" | "DELETE";

const RECONNECT_MS = [50, 100, 200, 500, 1000, 2000];

export class LocalClient {
  readonly #engine: () => Promise<Pick<EngineFacts, "url" | "token">>;

  /** @param engine where the engine is now; asked before every request, because a restarted engine may have moved */
  constructor(engine: () => Promise<Pick<EngineFacts, "url" | "token">>) {
    this.#engine = engine;
  }

  /** The official SDK pointed at the engine. No retries: a POST that was repeated could send a message twice. */
  async sdk(): Promise<Anthropic> {
    const { url, token } = await this.#engine();
    // Loaded when needed: most commands never do, and it takes longer than all else they load.
    const { default: Anthropic } = await import("@anthropic-ai/sdk");
    return new Anthropic({ baseURL: url, apiKey: token, authToken: null, maxRetries: 0 });
  }

  health(): Promise<Health> {
    return this.#json("GET", "/longhaul/v1/health");
  }

  /** Sessions that are not archived, newest activity first. */
  async *sessions(): AsyncGenerator<SessionSummary> {
    let page: string | null = null;
    do {
      const query: string = page === null ? "" : `&page=${encodeURIComponent(page)}`;
      const path = `/longhaul/v1/sessions?include_archived=false&limit=100${query}`;
      const answer: SessionSummaryPage = await this.#json("GET", path);
      yield* answer.data;
      page = answer.next_page;
    } while (page !== null);
  }

  /** Makes the session go on, also one whose turn had died. */
  async wake(id: string): Promise<void> {
    await this.#json("POST", `/longhaul/v1/sessions/${encodeURIComponent(id)}/wake`);
  }

  model(): Promise<ModelSettings> {
    return this.#json("GET", "/longhaul/v1/settings/model");
  }

  setModel(change: ModelChange): Promise<ModelSettings> {
    return this.#json("PUT", "/longhaul/v1/settings/model", change);
  }

  clearModel(): Promise<ModelSettings> {
    return this.#json("DELETE", "/longhaul/v1/settings/model");
  }

  testModel(): Promise<ModelTest> {
    return this.#json("POST", "/longhaul/v1/settings/model/test");
  }

  vault(): Promise<VaultStatus> {
    return this.#json("GET", "/longhaul/v1/vault");
  }

  rotateVault(request: RotationRequest): Promise<Rotation> {
    return this.#json("POST", "/longhaul/v1/vault/rotate", request);
  }

  /** A new key for the workers of an environment; its value is in this answer only. */
  environmentKey(environmentId: string, name: string | null): Promise<{ id: string; value: string }> {
    return this.#json("POST", `/longhaul/v1/environments/${encodeURIComponent(environmentId)}/keys`, { name });
  }

  /** What the agent changed in each attached repository. */
  async changes(id: string): Promise<RepositoryChanges[]> {
    const answer: { data: RepositoryChanges[] } = await this.#json(
      "GET",
      `/longhaul/v1/sessions/${encodeURIComponent(id)}/changes`,
    );
    return answer.data;
  }

  /** A body over 64 KiB that an event only refers to. */
  async blob(sha256: string): Promise<string> {
    const response = await this.#request("GET", `/longhaul/v1/blobs/${sha256}`);
    return await response.text();
  }

  /**
   * Frames of a session's timeline after `after`, without end: when the engine restarts, reading goes on behind the last
   * stored event, so that none is missed and none comes twice. Ends when `signal` aborts or the session was deleted.
   * Rejects with a CommandFailed when the session does not exist or the engine does not come back.
   */
  async *timeline(id: string, after: number, signal: AbortSignal): AsyncGenerator<TimelineFrame> {
    let last = after;
    let failures = 0;
    while (!signal.aborted) {
      try {
        for await (const frame of this.#connection(id, last, signal)) {
          failures = 0;
          if (frame.type === "stored") {
            if (frame.stored.seq <= last) continue;
            last = frame.stored.seq;
          }
          yield frame;
          if (frame.type === "deleted") return;
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof CommandFailed && !isPassing(error, failures)) throw error;
      }
      const pause = RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)] ?? 1000;
      failures += 1;
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  }

  async *#connection(id: string, after: number, signal: AbortSignal): AsyncGenerator<TimelineFrame> {
    const path = `/longhaul/v1/sessions/${encodeURIComponent(id)}/timeline?after=${after}`;
    const response = await this.#request("GET", path, signal);
    if (response.body === null) return;
    for await (const data of readEvents(response.body, IDLE_MS)) {
      const frame = parseFrame(data);
      if (frame !== null) yield frame;
    }
  }

  async #json<T>(method: Method, path: string, body: object = {}): Promise<T> {
    const response = await this.#request(method, path, undefined, body);
    const text = await response.text();
    return (text === "" ? null : JSON.parse(text)) as T;
  }

  async #request(method: Method, path: string, signal?: AbortSignal, body: object = {}): Promise<Response> {
    const { url, token } = await this.#engine();
    const hasBody = method === "POST" || method === "PUT";
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(hasBody ? { "content-type": "application/json" } : {}),
      },
      ...(hasBody ? { body: JSON.stringify(body) } : {}),
      ...(signal === undefined ? {} : { signal }),
    });
    if (response.ok) return response;
    throw new ApiRefusal(response.status, await refusalText(response));
  }
}

/** Refusals that a restarting engine gives and then no more: its new token may not have reached us yet. */
function isPassing(error: CommandFailed, failures: number): boolean {
  return error instanceof ApiRefusal && (error.status >= 500 || (error.status === 401 && failures < 10));
}

/** Frames of types that a later engine adds are handed on: their readers skip what they do not know. */
function parseFrame(data: string): TimelineFrame | null {
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null && "type" in value ? (value as TimelineFrame) : null;
  } catch {
    // Connecting again would bring the same frame again, without end.
    throw new CommandFailed(
      "The engine sent a timeline frame that is not JSON. Nothing is lost; is its version another one?",
    );
  }
}

/** The engine's own message; it names the field and the fix. */
async function refusalText(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === "object" && body !== null && "error" in body) {
      const { error } = body;
      if (typeof error === "object" && error !== null && "message" in error) return String(error.message);
    }
  } catch {
    // Not the engine's envelope; the status has to do.
  }
  return `The engine answered with status ${response.status}.`;
}

/** The message of the API's error envelope; the SDK's own message is status and raw JSON. */
export function apiText(error: unknown): string {
  if (error instanceof Error && "error" in error) {
    const body: unknown = error.error;
    if (typeof body === "object" && body !== null && "error" in body) {
      const inner = body.error;
      if (typeof inner === "object" && inner !== null && "message" in inner) return String(inner.message);
    }
  }
  return error instanceof Error ? error.message : String(error);
}
