/**
 * The git route, `git/<host>/<path>`: git's smart HTTP for repositories that are attached to the session, with their
 * token. Fetching is free, pushing goes to one branch and never loses a commit.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { RepositoryGrant } from "../../contract/vaults/grants.ts";
import { askedRoute, repositoryRoute } from "../../contract/vaults/repositories.ts";
import type { Credentials } from "../credentials/credentials.ts";
import type { AuditLog } from "../grants/audit.ts";
import { type Grants, notGranted } from "../grants/grants.ts";
import type { BrokerLog } from "../log.ts";
import { Refusal } from "../refusal.ts";
import { bounded, readAdvertisement } from "./advertisement.ts";
import { refusalByRules } from "./push/judge.ts";
import { answerPush } from "./push/route.ts";
import { type GitService, type Remote, Remotes } from "./remote.ts";
import { type GitOptions, GitUpstream } from "./upstream.ts";

export interface GitRouteDeps {
  grants: Grants;
  credentials: Pick<Credentials, "open">;
  audit: AuditLog;
  log: BrokerLog;
}

interface Asked {
  /** Null for `info/refs`. */
  post: boolean;
  service: GitService;
  /** Host and path. */
  name: string;
}

const PREFIX = "/git/";
const PATH = /^([^?]+)\/(?:info\/refs\?service=(git-upload-pack|git-receive-pack)|(git-upload-pack|git-receive-pack))$/;
/** What a client has is listed in a fetch, compressed or not. */
const MAX_FETCH_BYTES = 64 * 1024 * 1024;
/** A repository of this size is not cloned into a sandbox. */
const MAX_ANSWER_BYTES = 32 * 1024 ** 3;
const MAX_AT_ONCE = 32;

export class GitRoute {
  readonly #deps: GitRouteDeps;
  readonly #remotes: Remotes;
  /** Requests under way, by session. */
  readonly #running = new Map<string, number>();

  constructor(deps: GitRouteDeps, options: GitOptions = {}) {
    this.#deps = deps;
    this.#remotes = new Remotes(new GitUpstream(options), deps.credentials);
  }

  /** Answers one request under `/git/`. Rejects with {@link Refusal} before the response began. */
  async answer(request: IncomingMessage, response: ServerResponse, sessionId: string): Promise<void> {
    const asked = askedBy(request);
    const grant = this.#grantOf(sessionId, asked);
    const running = this.#running.get(sessionId) ?? 0;
    if (running >= MAX_AT_ONCE) {
      throw new Refusal(429, "rate_limit_error", `${running} git requests of this session are under way. Try again.`);
    }
    this.#running.set(sessionId, running + 1);
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    const turn = new Turn(this.#deps, sessionId, grant, () => this.#remotes.open(sessionId, grant, gone.signal));
    try {
      await (asked.post
        ? turn.post(request, response, asked.service)
        : turn.discover(request, response, asked.service));
    } catch (error) {
      if (error instanceof Refusal) turn.note("refused", `${asked.service}: ${error.code ?? error.message}`);
      throw error;
    } finally {
      const left = (this.#running.get(sessionId) ?? 1) - 1;
      if (left > 0) this.#running.set(sessionId, left);
      else this.#running.delete(sessionId);
    }
  }

  #grantOf(sessionId: string, { name }: Asked): RepositoryGrant {
    const route = askedRoute(name);
    const found = this.#deps.grants.repositories(sessionId).filter(({ url }) => repositoryRoute(url) === route);
    // The same repository may be attached twice, once without a token.
    const grant = found.find(({ token }) => token !== null) ?? found[0];
    if (grant !== undefined) return grant;
    throw notGranted("This repository is not attached to the session.");
  }
}

/** What is asked; only the three requests of smart HTTP. @throws Refusal 404 */
function askedBy({ method, url = "" }: IncomingMessage): Asked {
  const [, name = "", discovered, called] = PATH.exec(url.slice(PREFIX.length)) ?? [];
  const service = method === "GET" ? discovered : method === "POST" ? called : undefined;
  if (service !== undefined && /^[^/]+\/./.test(name)) {
    return { post: method === "POST", service: service as GitService, name };
  }
  throw new Refusal(404, "not_found_error", "This is not a request of git's smart HTTP, and nothing else passes here.");
}

/** One request about one repository. */
class Turn {
  readonly #deps: GitRouteDeps;
  readonly #sessionId: string;
  readonly #grant: RepositoryGrant;
  readonly #open: () => Promise<Remote>;

  constructor(deps: GitRouteDeps, sessionId: string, grant: RepositoryGrant, open: () => Promise<Remote>) {
    this.#deps = deps;
    this.#sessionId = sessionId;
    this.#grant = grant;
    this.#open = open;
  }

  /** A use of the token, or one that was refused. Repositories without a token use none. */
  note(decision: "allowed" | "refused", reason: string): void {
    const { host } = new URL(this.#grant.url);
    this.#deps.log.info({ session_id: this.#sessionId, host, decision, reason }, "git");
    const { token } = this.#grant;
    if (token === null) return;
    const { vault_id, credential_id } = token;
    this.#deps.audit.note({
      session_id: this.#sessionId,
      vault_id,
      credential_id,
      route: "git",
      host,
      decision,
      reason,
    });
  }

  async discover(request: IncomingMessage, response: ServerResponse, service: GitService): Promise<void> {
    if (service === "git-upload-pack") {
      const remote = await this.#open();
      const answer = await remote.discover(service, protocolOf(request));
      this.note("allowed", service);
      return relay(answer, remote, response, `application/x-${service}-advertisement`);
    }
    // Said before the sandbox has packed anything.
    const refused = refusalByRules({ updates: [], shallow: [], capabilities: [] }, this.#grant);
    if (refused !== null) throw new Refusal(403, "permission_error", refused.text, "push_refused");
    const remote = await this.#open();
    const { bytes } = await readAdvertisement(await remote.discover(service));
    this.note("allowed", service);
    response.writeHead(200, { "content-type": `application/x-${service}-advertisement`, "cache-control": "no-cache" });
    response.end(remote.redactor.bytes(bytes));
  }

  async post(request: IncomingMessage, response: ServerResponse, service: GitService): Promise<void> {
    const type = request.headers["content-type"];
    if (type !== `application/x-${service}-request`) {
      throw new Refusal(415, "invalid_request_error", `This takes application/x-${service}-request only.`);
    }
    if (service === "git-receive-pack") {
      const note = this.note.bind(this);
      return answerPush(request, response, { grant: this.#grant, remote: this.#open, note });
    }
    const coding = request.headers["content-encoding"];
    if (coding !== undefined && coding !== "gzip" && coding !== "x-gzip") {
      throw new Refusal(415, "invalid_request_error", `The coding ${JSON.stringify(coding)} is not read here.`);
    }
    const remote = await this.#open();
    const headers = { ...protocolOf(request), ...(coding === undefined ? {} : { "content-encoding": coding }) };
    const answer = await remote.call(service, bounded(request, MAX_FETCH_BYTES), headers);
    this.note("allowed", service);
    return relay(answer, remote, response, `application/x-${service}-result`);
  }
}

/** The protocol's version, when it is one. */
function protocolOf(request: IncomingMessage): Record<string, string> {
  const version = request.headers["git-protocol"];
  return typeof version === "string" && /^version=[012]$/.test(version) ? { "git-protocol": version } : {};
}

async function relay(answer: IncomingMessage, remote: Remote, response: ServerResponse, type: string): Promise<void> {
  response.writeHead(200, { "content-type": type, "cache-control": "no-cache" });
  // Breaking off tears both ends down, so that half a pack is not taken for a whole one.
  await pipeline(answer, remote.redactor.stream(MAX_ANSWER_BYTES), response).catch(() => response.destroy());
}
