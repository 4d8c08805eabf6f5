/** Asks the model endpoint whether it takes the credential: the list of models, which costs nothing. */
import type { IncomingMessage } from "node:http";
import type { ModelTest } from "../../contract/vaults/settings.ts";
import type { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import type { Upstream } from "../relay/upstream.ts";
import type { Endpoint } from "./endpoint.ts";
import type { ModelEndpoints } from "./endpoints.ts";
import type { Outcome } from "./route.ts";

type Remote = Extract<Endpoint, { kind: "remote" }>;

export const CHECK_MS = 20_000;
/** Of an endpoint's own words. */
const QUOTED_CHARS = 200;
const MAX_BYTES = 64 * 1024;
const VERSION = { "anthropic-version": "2023-06-01", "accept-encoding": "identity", accept: "application/json" };
/** For endpoints without a list of models. No model has this name, so that nobody counts anything. */
const COUNT = JSON.stringify({ model: "longhaul-check", messages: [{ role: "user", content: "." }] });

/**
 * Sends one or two small requests. Never rejects for what the endpoint does; rejects with Refusal when the file of sealed
 * values cannot be read.
 * @param note told how each exchange began, like those of sessions
 */
export async function testModel(
  endpoints: ModelEndpoints,
  redactor: Redactor,
  note: (outcome: Outcome) => void,
): Promise<ModelTest> {
  const started = performance.now();
  let active: Awaited<ReturnType<ModelEndpoints["current"]>>;
  try {
    active = await endpoints.current();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const passing = error.code === "keychain_locked" || error.code === "keychain_missing";
    return { ...result("locked", null, error.message, null), outcome: passing ? "locked" : "unclear" };
  }
  const { endpoint, upstream } = active;
  if (endpoint.kind === "demo") {
    const advice = "Enter the key of a model endpoint, or the address of one that wants none.";
    return result("demo", null, "No model endpoint is set up: the offline demo answers.", advice);
  }
  if (endpoint.kind === "unusable" || upstream === null) {
    return result(
      "unclear",
      null,
      endpoint.kind === "unusable" ? endpoint.message : "",
      "Correct it, then test again.",
    );
  }
  try {
    const first = await ask(upstream, endpoint, "GET", "/v1/models?limit=1", null);
    const listed = first.status !== 404 && first.status !== 405;
    const answer = listed ? first : await ask(upstream, endpoint, "POST", "/v1/messages/count_tokens", COUNT);
    note({ status: answer.status });
    const duration_ms = Math.round(performance.now() - started);
    return { ...verdict(endpoint, answer, listed, redactor), duration_ms };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    note({ refusal: error });
    return result("unreachable", null, error.message, "Test again when that is mended. Sessions wait meanwhile.");
  }
}

interface Answer {
  status: number;
  text: string;
}

async function ask(upstream: Upstream, endpoint: Remote, method: string, path: string, body: string | null) {
  const bytes = body === null ? null : Buffer.from(body);
  const headers = {
    ...VERSION,
    ...(bytes === null ? {} : { "content-type": "application/json", "content-length": bytes.length }),
    ...endpoint.credentials,
  };
  const signal = AbortSignal.timeout(CHECK_MS);
  try {
    const response = await upstream.send({ method, path: endpoint.prefix + path, headers, body: bytes, signal });
    return { status: response.statusCode ?? 0, text: await start(response) };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const why = signal.aborted ? `did not answer within ${CHECK_MS / 1000} s` : "broke off its answer";
    throw new Refusal(504, "timeout_error", `${endpoint.host} ${why}.`, "endpoint_timeout");
  }
}

async function start(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    parts.push(part);
    if (size > MAX_BYTES) break;
  }
  return Buffer.concat(parts).toString();
}

function verdict(endpoint: Remote, { status, text }: Answer, listed: boolean, redactor: Redactor): ModelTest {
  const { host } = endpoint;
  const kind = endpoint.credentials["x-api-key"] === undefined ? "token" : "key";
  const none = Object.keys(endpoint.credentials).length === 0;
  const said = wordsOf(text, redactor);
  if (status >= 200 && status < 300) {
    // A page of a router or of a web site says 200 too.
    if (!isJson(text)) {
      const advice = "Check the base URL: it should end before /v1.";
      return result(
        "unclear",
        status,
        `${host} answered with status ${status} and something that is not JSON.`,
        advice,
      );
    }
    const what = none ? "answers, and wants no credential" : `took the ${kind}`;
    return result("accepted", status, `${host} ${what}.`, null);
  }
  if (status === 401 || status === 403) {
    const what = none ? "wants a credential" : `refused the ${kind}`;
    const advice = "Sessions are kept. Enter another one, then test again.";
    return result("refused", status, `${host} ${what} (status ${status})${said}.`, advice);
  }
  if (status >= 300 && status < 400) {
    const advice = "Set the base URL to the final address: the key is not sent where a redirect points.";
    return result("unclear", status, `${host} answered with a redirect (status ${status}).`, advice);
  }
  // It looked at the model's name, or at the request: most endpoints check the credential before that, not all.
  const checked = !listed && (status === 400 || status === 404 || status === 422) && isJson(text);
  const summary = checked
    ? `${host} has no list of models, and did not complain about the credential (status ${status})${said}.`
    : `${host} answered with status ${status}${said}.`;
  const advice = checked
    ? "The first message of a session shows whether it works."
    : "Check the base URL, or test again later if the endpoint has trouble.";
  return result("unclear", status, summary, advice);
}

function result(
  outcome: ModelTest["outcome"],
  status: number | null,
  summary: string,
  advice: string | null,
): ModelTest {
  return { outcome, status, summary, advice, duration_ms: null };
}

/** The endpoint's own message, masked and in one line; empty when there is none. */
function wordsOf(text: string, redactor: Redactor): string {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown } | string };
    const message = typeof error === "string" ? error : error?.message;
    if (typeof message !== "string" || message.trim() === "") return "";
    const line = redactor.text(message).replace(/\s+/g, " ").slice(0, QUOTED_CHARS);
    return `: ${line.replace(/\.+$/, "")}`;
  } catch {
    return "";
  }
}

function isJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null;
  } catch {
    return false;
  }
}
