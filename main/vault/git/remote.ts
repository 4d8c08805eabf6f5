/** One repository at its server, spoken to with its token. */
import type { IncomingMessage } from "node:http";
import type { RepositoryGrant } from "../../contract/vaults/grants.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import { secretsToMask, signIns } from "./sign_in.ts";
import type { GitUpstream } from "./upstream.ts";

export type GitService = "git-upload-pack" | "git-receive-pack";

/** What discovering a repository showed; the requests after it go the same way. */
interface Known {
  signIn: number;
  /** Differs from the attached URL when its server redirects. */
  base: string;
}

const MAX_KNOWN = 1_000;
const MAX_REDIRECTS = 3;
/** Hosts tell git's own client from a browser by it. */
const USER_AGENT = "git/2.40 (longhaul)";

export class Remotes {
  readonly #upstream: GitUpstream;
  readonly #credentials: Pick<Credentials, "open">;
  readonly #known = new Map<string, Known>();

  constructor(upstream: GitUpstream, credentials: Pick<Credentials, "open">) {
    this.#upstream = upstream;
    this.#credentials = credentials;
  }

  /** Opens the token. Rejects with {@link Refusal}: nothing is sent without it when there is one. */
  async open(sessionId: string, grant: RepositoryGrant, signal: AbortSignal): Promise<Remote> {
    const token = grant.token === null ? null : ((await this.#credentials.open(grant.token)).secrets.token ?? "");
    if (token === "") {
      throw new Refusal(403, "permission_error", `The token of ${grant.url} is gone. Give it again.`, "value_missing");
    }
    const key = JSON.stringify([sessionId, grant.url, grant.token?.secret_id]);
    const remember = (known: Known): void => {
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      this.#known.set(key, known);
    };
    const way = { sessionId, signal, upstream: this.#upstream, known: this.#known.get(key) ?? null, remember };
    return new Remote(grant, token, way);
  }
}

interface Way {
  sessionId: string;
  signal: AbortSignal;
  upstream: GitUpstream;
  known: Known | null;
  remember: (known: Known) => void;
}

export class Remote {
  /** Masks the token in whatever the server says. */
  readonly redactor: Redactor;
  readonly #grant: RepositoryGrant;
  readonly #signIns: readonly (string | null)[];
  readonly #way: Way;
  #known: Known | null;

  constructor(grant: RepositoryGrant, token: string | null, way: Way) {
    this.#grant = grant;
    this.#way = way;
    this.#known = way.known;
    this.#signIns = token === null ? [null] : signIns(new URL(grant.url).hostname, token);
    this.redactor = new Redactor(token === null ? [] : secretsToMask(token));
  }

  /**
   * What the server has: the answer to `info/refs`, which has begun and is of the right type. Follows redirects on the
   * same server, as a renamed repository gives them. Rejects with {@link Refusal}.
   */
  async discover(service: GitService, headers: Record<string, string> = {}): Promise<IncomingMessage> {
    let last: Refusal | null = null;
    const first = this.#known?.signIn ?? 0;
    for (const index of new Set([first, ...this.#signIns.keys()])) {
      const { answer, base } = await this.#discover(service, headers, index);
      if (answer.statusCode !== 401) {
        checkAnswer(answer, `application/x-${service}-advertisement`, this.#grant);
        this.#known = { signIn: index, base };
        this.#way.remember(this.#known);
        return answer;
      }
      answer.destroy();
      last = refusalOf(401, this.#grant);
    }
    throw last ?? refusalOf(401, this.#grant);
  }

  async #discover(
    service: GitService,
    headers: Record<string, string>,
    signIn: number,
  ): Promise<{ answer: IncomingMessage; base: string }> {
    let url = new URL(`${bare(this.#grant.url)}/info/refs?service=${service}`);
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.#send("GET", url, headers, null, signIn);
      const status = answer.statusCode ?? 0;
      if (status < 300 || status >= 400) return { answer, base: baseOf(url) };
      answer.destroy();
      const next = redirects < MAX_REDIRECTS ? nextOf(url, answer.headers.location, service) : null;
      if (next === null) throw redirected(url, status);
      url = next;
    }
  }

  /** Sends a request of the protocol; the answer has begun and is of the right type. Rejects with {@link Refusal}. */
  async call(
    service: GitService,
    body: AsyncIterable<Buffer>,
    headers: Record<string, string> = {},
  ): Promise<IncomingMessage> {
    // A restarted broker has to find out again where the repository is, before the body is gone.
    if (this.#known === null) (await this.discover(service)).destroy();
    const { base, signIn } = this.#known ?? { base: bare(this.#grant.url), signIn: 0 };
    const url = new URL(`${base}/${service}`);
    const all = { "content-type": `application/x-${service}-request`, ...headers };
    const answer = await this.#send("POST", url, all, body, signIn);
    const status = answer.statusCode ?? 0;
    if (status >= 300 && status < 400) {
      answer.destroy();
      throw redirected(url, status);
    }
    checkAnswer(answer, `application/x-${service}-result`, this.#grant);
    return answer;
  }

  #send(
    method: "GET" | "POST",
    url: URL,
    headers: Record<string, string>,
    body: AsyncIterable<Buffer> | null,
    index: number,
  ): Promise<IncomingMessage> {
    const { sessionId, signal, upstream } = this.#way;
    const authorization = this.#signIns[index] ?? null;
    return upstream.send({
      sessionId,
      method,
      url,
      body,
      signal,
      headers: {
        "user-agent": USER_AGENT,
        accept: "*/*",
        // A compressed answer could not be searched for the token.
        "accept-encoding": "identity",
        ...headers,
        ...(authorization === null ? {} : { authorization }),
      },
    });
  }
}

const bare = (url: string): string => url.replace(/\/+$/, "");

const baseOf = (url: URL): string => `${url.origin}${url.pathname.replace(/\/info\/refs$/, "")}`;

/** Where a redirect leads, if it is another repository of the same server; null for anything else. */
function nextOf(from: URL, location: string | undefined, service: GitService): URL | null {
  const next = URL.parse(location ?? "", from);
  if (next === null || next.origin !== from.origin || next.username !== "" || next.password !== "") return null;
  if (!next.pathname.endsWith("/info/refs") || next.searchParams.get("service") !== service) return null;
  return new URL(`${next.origin}${next.pathname}?service=${service}`);
}

function redirected(url: URL, status: number): Refusal {
  const text = `${url.host} answered with a redirect (status ${status}) to somewhere else than a repository of its own. It was not followed, because that could hand the token to another address. Attach the repository by its final address.`;
  return new Refusal(502, "api_error", text, "endpoint_redirected");
}

function checkAnswer(answer: IncomingMessage, type: string, grant: RepositoryGrant): void {
  const status = answer.statusCode ?? 0;
  const given = (answer.headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase();
  const coding = answer.headers["content-encoding"] ?? "identity";
  if (status === 200 && given === type && coding === "identity") return;
  answer.destroy();
  throw refusalOf(status, grant);
}

/** The server's refusal in words; what it says itself is not passed on. */
function refusalOf(status: number, { url, token }: RepositoryGrant): Refusal {
  const { host } = new URL(url);
  if (status === 401) {
    const text =
      token === null
        ? `${url} does not exist, or it is private: it was attached without a token. Attach it with authorization_token.`
        : `${host} does not take the token of ${url}: it is wrong, expired or was revoked. Give a new authorization_token.`;
    return new Refusal(403, "permission_error", text, "sign_in_needed");
  }
  if (status === 403) {
    const text = `${host} does not let this token do that with ${url}. Give the token the right to, or another token.`;
    return new Refusal(403, "permission_error", text, "repository_forbidden");
  }
  if (status === 404 || status === 410) {
    const text = `${host} has no repository at ${url}, or ${token === null ? "it is private and was attached without a token" : "the token may not see it"}. Check the URL and the token.`;
    return new Refusal(404, "not_found_error", text, "repository_not_found");
  }
  const what = status === 200 ? "in another form than git's smart HTTP" : `with status ${status}`;
  const text = `${host} answered ${what} for ${url}. Check the URL, then try again.`;
  return new Refusal(502, "api_error", text, "endpoint_failed");
}
