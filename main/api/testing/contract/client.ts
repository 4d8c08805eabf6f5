/** Clients of the official SDK, its newest and an older major version, whose every response is checked and noted. */
import Anthropic, { type ClientOptions } from "@anthropic-ai/sdk";
import OlderAnthropic from "anthropic-sdk-0";
import { recording, type ServerKind } from "./facts.ts";
import { recordingFetch, sdkOf } from "./recorder.ts";

export interface ContractClientOptions extends Omit<ClientOptions, "baseURL" | "apiKey" | "fetch"> {
  /** What answers; default "memory". */
  server?: ServerKind;
}

/** Requests of `client.beta`, as the SDK itself tells them apart: for files and skills nothing on the wire does. */
const betaRequests = new WeakSet<RequestInit>();

/** The SDK's own client; its hook for subclasses is only looked at. */
class WatchedAnthropic extends Anthropic {
  protected override async prepareRequest(
    request: RequestInit,
    context: Parameters<Anthropic["prepareRequest"]>[1],
  ): Promise<void> {
    await super.prepareRequest(request, context);
    const { __qualifiers } = context.options as { __qualifiers?: { beta?: string } };
    if (__qualifiers?.beta === "true") betaRequests.add(request);
  }
}

/**
 * A client of the newest SDK. In a test run a response that does not fit the SDK's types fails the running test; outside of
 * one it is a plain client. Retries are off unless `options` turn them on.
 */
export function contractClient(url: string, key: string, options: ContractClientOptions = {}): Anthropic {
  const { server = "memory", ...rest } = options;
  const all = { authToken: null, maxRetries: 0, ...rest, baseURL: url, apiKey: key };
  if (!recording) return new Anthropic(all);
  const fetch = recordingFetch(sdkOf("@anthropic-ai/sdk"), server, (_, init) => betaRequests.has(init));
  return new WatchedAnthropic({ ...all, fetch });
}

/**
 * The same of the older SDK, which sends `x-api-key` and `?beta=true` and drops stream frames whose name it does not know.
 * A `bearer` key is sent as `Authorization` instead: credentials of workers are.
 */
export function olderContractClient(
  url: string,
  key: string,
  server: ServerKind = "memory",
  bearer = false,
): OlderAnthropic {
  const isBeta = (target: URL) => target.searchParams.get("beta") === "true";
  const fetch = recording ? { fetch: recordingFetch(sdkOf("anthropic-sdk-0"), server, isBeta) } : {};
  const credential = bearer ? { apiKey: null, authToken: key } : { apiKey: key, authToken: null };
  return new OlderAnthropic({ baseURL: url, ...credential, maxRetries: 0, ...fetch });
}
