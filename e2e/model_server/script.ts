/** What the server answers, request by request. */
import type {
  RefusalStopDetails,
  StopReason,
  WebFetchToolResultErrorCode,
  WebSearchToolResultErrorCode,
} from "@anthropic-ai/sdk/resources/messages/messages";
import type { MessagesErrorType } from "./checks/rejection.ts";

/** A request that passed every check. */
export interface ScriptRequest {
  /** The parsed body. */
  body: RequestBody;
  /** Number of accepted Messages requests before this one. */
  index: number;
  /** Assistant turns in the conversation so far: the same after a repeat of the same request. */
  turn: number;
  /** Results of the last user message by `tool_use_id`, as text. */
  results: Map<string, { text: string; is_error: boolean }>;
  /** Text of the last user message, tool results left out. */
  lastText: string;
}

export interface RequestBody {
  model: string;
  max_tokens: number;
  messages: { role: "user" | "assistant" | "system"; content: string | Record<string, unknown>[] }[];
  system?: string | Record<string, unknown>[];
  tools?: Record<string, unknown>[];
  stream?: boolean;
  [key: string]: unknown;
}

export type ReplyBlock =
  | { type: "text"; text: string; citations?: { url: string; title: string; cited_text: string }[] }
  | { type: "thinking"; thinking: string }
  | { type: "redacted_thinking"; data: string }
  /** `id` is made up when left out. `partial_json` replaces the streamed input, to end it in the middle. */
  | { type: "tool_use"; name: string; input: Record<string, unknown>; id?: string; partial_json?: string }
  /** The API's own search: a call and its result. The request's tool decides what of `results` is left. */
  | {
      type: "web_search";
      query?: string;
      results?: { url: string; title: string; page_age?: string }[];
      error_code?: WebSearchToolResultErrorCode;
      /** The call alone: the answer is paused before the result. */
      pending?: true;
    }
  /** The API's own fetch, of a page's text or of a PDF in base64. */
  | {
      type: "web_fetch";
      url: string;
      redirected_to?: string;
      title?: string;
      text?: string;
      pdf?: string;
      error_code?: WebFetchToolResultErrorCode;
      pending?: true;
    }
  /** Sent as it is, for answers that no API gives. */
  | { type: "raw"; block: Record<string, unknown> };

export interface Reply {
  content: ReplyBlock[];
  /** Default: `tool_use` when there is a tool call, else `end_turn`. */
  stop_reason?: StopReason;
  stop_details?: RefusalStopDetails;
  stop_sequence?: string;
  /** Default: estimated from the content. */
  output_tokens?: number;
  /** At which it says it ran; default: none, as without the fast mode's beta. */
  speed?: "standard" | "fast";
  /** Milliseconds before the response's first byte. */
  first_byte_ms?: number;
  /** Milliseconds between two stream events. */
  between_events_ms?: number;
  /** Characters per text or JSON delta; default 24. */
  delta_chars?: number;
  /** A `ping` event before every n-th event; default: one ping after `message_start`. 0: none. */
  ping_every?: number;
  /** What goes wrong in the stream, after this many events were sent. */
  fault?: StreamFault;
}

export type StreamFault =
  /** The response ends as if complete, or the socket is destroyed. */
  | { after: number; kind: "end" | "reset" }
  /** Nothing more is sent, the connection stays open. */
  | { after: number; kind: "hang" }
  /** An `error` event as the API sends in mid-stream, then the end. */
  | { after: number; kind: "error"; error: { type: MessagesErrorType; message: string } }
  /** These bytes instead of the next event; the stream goes on after them. */
  | { after: number; kind: "garbage"; text: string };

export type Fault =
  /** An error response. `body` replaces the envelope, for answers that are not JSON. */
  | {
      status: number;
      error?: { type: MessagesErrorType; message: string; details?: Record<string, unknown> };
      body?: string;
      headers?: Record<string, string>;
      first_byte_ms?: number;
    }
  /** The socket is destroyed without an answer, or never answered. */
  | { kind: "reset" | "hang"; first_byte_ms?: number };

export type ScriptTurn = Reply | Fault;
export type Script = ScriptTurn[] | ((request: ScriptRequest) => ScriptTurn | Promise<ScriptTurn>);

export const isReply = (turn: ScriptTurn): turn is Reply => "content" in turn;

/** A turn that is one text and ends the turn. */
export const say = (text: string): Reply => ({ content: [{ type: "text", text }] });

/** A turn that calls tools, in parallel when there are several. */
export const call = (...calls: { name: string; input: Record<string, unknown>; id?: string }[]): Reply => ({
  content: calls.map((item) => ({ type: "tool_use", ...item })),
});

/**
 * Keeps apart the two kinds of requests of a session with web tools: its own, and those that carry a server tool
 * because one of the web tools was called.
 */
export function withWeb(
  session: (request: ScriptRequest) => ScriptTurn | Promise<ScriptTurn>,
  web: (request: ScriptRequest) => ScriptTurn | Promise<ScriptTurn>,
): (request: ScriptRequest) => ScriptTurn | Promise<ScriptTurn> {
  return (request) => (isWebRequest(request.body) ? web(request) : session(request));
}

/** True for a request that carries a web tool of the API. */
export function isWebRequest(body: RequestBody): boolean {
  return (body.tools ?? []).some((tool) => /^web_(search|fetch)_/.test(String(tool.type)));
}

/** 529 as the API sends it when it is overloaded. */
export const overloaded = (retryAfterSeconds?: number): Fault => ({
  status: 529,
  error: { type: "overloaded_error", message: "Overloaded" },
  ...(retryAfterSeconds === undefined ? {} : { headers: { "retry-after": String(retryAfterSeconds) } }),
});

/** 429 with the seconds after which to try again. */
export const rateLimited = (retryAfterSeconds: number): Fault => ({
  status: 429,
  error: {
    type: "rate_limit_error",
    message: "This request would exceed your account's rate limit. Please try again later.",
  },
  headers: { "retry-after": String(retryAfterSeconds) },
});

/**
 * Answers by the number of assistant turns in the conversation instead of by arrival, so that a repeated request
 * (after a crash, or a retry) gets the answer it got before. The last turn answers everything that follows.
 */
export function byTurn(turns: readonly ScriptTurn[]): (request: ScriptRequest) => ScriptTurn {
  return (request) => {
    const turn = turns[Math.min(request.turn, turns.length - 1)];
    if (turn === undefined) throw new Error("byTurn needs at least one turn");
    return turn;
  };
}
