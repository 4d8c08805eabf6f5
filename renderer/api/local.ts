/** Calls of the local API under `/longhaul/v1`. */

import type { StoredEvent } from "../../main/contract/events.ts";
import type {
  BringBackParams,
  BroughtBack,
  Health,
  OutputList,
  RepositoryChanges,
  RequestContext,
  SessionSummaryPage,
} from "../../main/contract/local_api.ts";
import { accessToken, setAccessToken } from "./access.ts";
import { away, problemOfAnswer } from "./problem.ts";

interface CallOptions {
  method?: "GET" | "POST" | "PUT" | "DELETE";
  body?: unknown;
  signal?: AbortSignal;
}

/** Sends a request with our token. Rejects with a `Problem`; a refused token is forgotten, which signs the page out. */
export async function call(path: string, options: CallOptions = {}): Promise<Response> {
  const { method = "GET", body, signal } = options;
  const headers: Record<string, string> = { authorization: `Bearer ${accessToken() ?? ""}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(`/longhaul/v1/${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw away(method !== "GET");
  }
  if (response.ok) return response;
  if (response.status === 401) setAccessToken(null);
  const parsed: unknown = await response.json().catch(() => null);
  throw problemOfAnswer(response.status, parsed);
}

/** The same, with the answer's body parsed. */
export async function json<T>(path: string, options?: CallOptions): Promise<T> {
  const response = await call(path, options);
  return (await response.json()) as T;
}

/** Exchanges the one-time code of a link for a token. */
export async function signIn(code: string): Promise<string> {
  const answer = await json<{ token: string }>("sign_in", { method: "POST", body: { code } });
  return answer.token;
}

export function getHealth(signal?: AbortSignal): Promise<Health> {
  return json("health", signal === undefined ? {} : { signal });
}

export function listSessions(page: string | null): Promise<SessionSummaryPage> {
  const query = new URLSearchParams({ limit: "200", ...(page === null ? {} : { page }) });
  return json(`sessions?${query}`);
}

/** Asks for a session to go on. */
export async function wakeSession(id: string): Promise<void> {
  await call(`sessions/${encodeURIComponent(id)}/wake`, { method: "POST", body: {} });
}

/** Stored events after a position, at most `limit` (1000); long bodies stay markers. */
export async function readEvents(
  id: string,
  after: number,
  limit: number,
  signal: AbortSignal,
): Promise<StoredEvent[]> {
  const query = new URLSearchParams({ after: String(after), limit: String(limit), hydrate: "false" });
  const answer = await json<{ data: StoredEvent[] }>(`sessions/${encodeURIComponent(id)}/events?${query}`, { signal });
  return answer.data;
}

export function getRequestContext(id: string, span: string): Promise<RequestContext> {
  return json(`sessions/${encodeURIComponent(id)}/requests/${encodeURIComponent(span)}`);
}

export async function getChanges(id: string): Promise<RepositoryChanges[]> {
  const answer = await json<{ data: RepositoryChanges[] } | RepositoryChanges[]>(
    `sessions/${encodeURIComponent(id)}/changes`,
  );
  return Array.isArray(answer) ? answer : answer.data;
}

/** Makes the changes of one repository a branch of the person's own. */
export async function bringBack(id: string, mount_path: string): Promise<BroughtBack[]> {
  const body: BringBackParams = { mount_path };
  const path = `sessions/${encodeURIComponent(id)}/changes/bring_back`;
  return (await json<{ data: BroughtBack[] }>(path, { method: "POST", body })).data;
}

export function answerPush(id: string, request: string, result: "allow" | "deny", reason: string): Promise<unknown> {
  const body = result === "deny" && reason !== "" ? { result, deny_message: reason } : { result };
  return json(`sessions/${encodeURIComponent(id)}/pushes/${encodeURIComponent(request)}`, { method: "POST", body });
}

export function listOutputs(id: string): Promise<OutputList> {
  return json(`sessions/${encodeURIComponent(id)}/outputs`);
}

/** The bytes of an output, by its path below the outputs folder. */
export function openOutput(id: string, path: string, signal: AbortSignal): Promise<Response> {
  const parts = path.split("/").map(encodeURIComponent).join("/");
  return call(`sessions/${encodeURIComponent(id)}/outputs/${parts}`, { signal });
}

export async function getBlob(sha256: string): Promise<string> {
  const response = await call(`blobs/${encodeURIComponent(sha256)}`);
  return response.text();
}

export interface SearchHit {
  session_id: string;
  seq: number;
  snippet: string;
}

export async function search(text: string, signal: AbortSignal): Promise<SearchHit[]> {
  const answer = await json<{ data: SearchHit[] }>(`search?${new URLSearchParams({ q: text })}`, { signal });
  return answer.data;
}
