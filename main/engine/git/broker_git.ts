/** The way of sandboxes to their repositories: git's requests, passed on to the broker with the session's capability. */
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { RepositoryGrant, SessionGrants } from "../../contract/vaults/grants.ts";
import { PUSH_HEADERS, type Push } from "../../contract/vaults/pushes.ts";
import { askedRoute, repositoryRoute } from "../../contract/vaults/repositories.ts";
import type { BrokerClient } from "../../harness/broker_client.ts";
import type { GitRoute, RoutedRepository } from "../../sandbox/docker/ports.ts";
import { RepositoryUnavailable } from "../../sandbox/resources/remote_source.ts";
import type { GrantsRegister } from "../grants/register.ts";
import type { SessionPushes } from "./pushes.ts";
import { type BrokerFailure, readFailure, sayFailure } from "./said.ts";

export interface BrokerGitDeps {
  /** Shared with the model route, so that a session has one capability. */
  client: BrokerClient;
  grants: Pick<GrantsRegister, "forget"> & {
    ensure(sessionId: string): Promise<Pick<SessionGrants, "repositories">>;
  };
  pushes: SessionPushes;
}

const PATH =
  /^\/git\/([^?]+)\/(?:info\/refs\?service=(git-upload-pack|git-receive-pack)|(git-upload-pack|git-receive-pack))$/;
/** Of the sandbox's request. All others stay here, ours among them. */
const PASSED_ON = ["content-type", "content-encoding", "content-length", "git-protocol", "accept"] as const;
/** Milliseconds of silence of the broker, which waits ten minutes for a server itself. */
const SILENCE_MS = 11 * 60_000;
/** A push's report is at the end of the answer. */
const REPORT_BYTES = 64 * 1024;

export class BrokerGit implements GitRoute {
  readonly #deps: BrokerGitDeps;

  constructor(deps: BrokerGitDeps) {
    this.#deps = deps;
  }

  async repositories(sessionId: string): Promise<readonly RoutedRepository[]> {
    return (await this.#deps.grants.ensure(sessionId)).repositories.map(({ resource_id, url, branch, token, push }) => {
      const pushable = token !== null && push !== "deny";
      return { id: resource_id, url, branch: pushable ? branch.replace(/^refs\/heads\//, "") : null };
    });
  }

  async forward(sessionId: string, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => response.destroy());
    try {
      await this.#forward(sessionId, incoming, response);
    } catch (error) {
      const reason = error instanceof Error ? error.message : "The request failed.";
      sayFailure(response, { status: 502, code: null, message: reason });
    }
  }

  async #forward(sessionId: string, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, name = "", discovered, called] = PATH.exec(incoming.url ?? "") ?? [];
    const discovers = incoming.method === "GET" && discovered !== undefined;
    if (!discovers && !(incoming.method === "POST" && called !== undefined)) {
      return sayFailure(response, { status: 404, code: null, message: "This is not a request of git's smart HTTP." });
    }
    const { repositories: grants } = await this.#deps.grants.ensure(sessionId);
    const route = askedRoute(name);
    const grant = grants.find(({ url }) => repositoryRoute(url) === route);
    if (grant === undefined) return this.#notAttached(name, discovered ?? "", grants, response);
    const headers = await this.#headers(sessionId, incoming, called === "git-receive-pack" ? grant.url : null);
    let answer = await this.#send(sessionId, incoming, headers, !discovers);
    if (discovers && isForgotten(answer)) {
      answer.destroy();
      await this.#renew(sessionId);
      answer = await this.#send(sessionId, incoming, headers, false);
    }
    if (answer.statusCode !== 200) return sayFailure(response, await readFailure(answer));
    await this.#answer(sessionId, grant, answer, response);
  }

  /**
   * A rewritten address can be the beginning of another repository's: that one is not ours, and the sandbox asks for it by
   * itself, as far as its network lets it.
   */
  #notAttached(name: string, service: string, grants: readonly RepositoryGrant[], response: ServerResponse): void {
    const host = name.split("/", 1)[0]?.toLowerCase() ?? "";
    const sibling = grants.find(({ url }) => repositoryRoute(url).split("/", 1)[0] === host);
    if (sibling === undefined || service === "") {
      const message = "This repository is not attached to the session.";
      return sayFailure(response, { status: 403, code: "not_granted", message });
    }
    const location = `${new URL(sibling.url).protocol}//${name}/info/refs?service=${service}`;
    response.writeHead(302, { location, "content-length": 0, connection: "close" }).end();
  }

  async #headers(sessionId: string, incoming: IncomingMessage, pushed: string | null): Promise<Record<string, string>> {
    const headers: Record<string, string> = {};
    for (const key of PASSED_ON) {
      const value = incoming.headers[key];
      if (typeof value === "string") headers[key] = value;
    }
    if (pushed !== null) {
      const { allowed, denied } = await this.#deps.pushes.decided(sessionId, pushed);
      if (allowed.length > 0) headers[PUSH_HEADERS.approved] = allowed.join(",");
      if (denied.length > 0) headers[PUSH_HEADERS.denied] = denied.join(",");
    }
    return headers;
  }

  async #send(
    sessionId: string,
    incoming: IncomingMessage,
    headers: Record<string, string>,
    hasBody: boolean,
  ): Promise<IncomingMessage> {
    const { broker } = this.#deps.client;
    const authorization = `Bearer ${await this.#deps.client.capability(sessionId)}`;
    return new Promise((resolve, reject) => {
      // As it was written: parsing would tidy up what the broker shall see and refuse.
      const { hostname, port } = new URL(broker().url);
      const options = {
        hostname,
        port,
        path: incoming.url,
        method: incoming.method,
        agent: false,
        timeout: SILENCE_MS,
      };
      const outgoing = request({ ...options, headers: { ...headers, authorization } });
      outgoing.on("response", resolve);
      outgoing.on("timeout", () => outgoing.destroy(new Error("it did not answer in time")));
      outgoing.on("error", ({ message }) => {
        reject(
          new Error(`The credential broker, which holds the way to repositories, failed (${message}). Try again.`),
        );
      });
      if (!hasBody) return void outgoing.end();
      // A push that breaks off must not look complete.
      pipeline(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  async #renew(sessionId: string): Promise<void> {
    this.#deps.client.forgetCapability(sessionId);
    this.#deps.grants.forget(sessionId);
    await this.#deps.grants.ensure(sessionId);
  }

  async #answer(sessionId: string, grant: RepositoryGrant, answer: IncomingMessage, response: ServerResponse) {
    const waits = answer.headers[PUSH_HEADERS.waits];
    if (typeof waits === "string") {
      const push = JSON.parse(Buffer.from(waits, "base64url").toString()) as Push;
      await this.#deps.pushes.waits(sessionId, push);
    }
    const type = answer.headers["content-type"] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "cache-control": "no-cache", connection: "close" });
    const passed = answer.headers[PUSH_HEADERS.passed];
    const report = new Report(grant.branch);
    try {
      await pipeline(answer, report, response, { end: false });
    } catch {
      // Half an answer must not look whole.
      return void response.destroy();
    }
    const [old, to] = typeof passed === "string" ? passed.split(":") : [];
    if (old !== undefined && to !== undefined && report.accepted) {
      await this.#deps.pushes.pushed(sessionId, { repository_url: grant.url, branch: grant.branch, old, new: to });
    }
    response.end();
  }

  /**
   * Where this machine's own git finds an attached repository, once the broker has seen that it can be read. Rejects with
   * {@link RepositoryUnavailable}.
   */
  async remote(sessionId: string, url: string): Promise<{ url: string; header: string }> {
    const { client, grants } = this.#deps;
    const route = `/git/${repositoryRoute(url)}`;
    const look = async (): Promise<IncomingMessage> => {
      await grants.ensure(sessionId);
      const authorization = `Bearer ${await client.capability(sessionId)}`;
      return client.roundTrip("GET", `${route}/info/refs?service=git-upload-pack`, { authorization });
    };
    let answer = await look();
    if (isForgotten(answer)) {
      answer.resume();
      await this.#renew(sessionId);
      answer = await look();
    }
    if (answer.statusCode !== 200) throw unavailable(await readFailure(answer));
    answer.destroy();
    const header = `Authorization: Bearer ${await client.capability(sessionId)}`;
    return { url: `${client.broker().url}${route}`, header };
  }
}

/** The broker was restarted and knows the session no more. */
function isForgotten({ statusCode, headers }: IncomingMessage): boolean {
  return statusCode === 401 || headers["longhaul-refused"] === "grants_unknown";
}

function unavailable({ message, problem }: BrokerFailure): RepositoryUnavailable {
  return new RepositoryUnavailable(message, problem ?? "clone");
}

/** Passes a push's answer on and sees whether the server took the update. */
class Report extends Transform {
  readonly #line: string;
  #end = "";

  constructor(branch: string) {
    super();
    this.#line = `ok ${branch}\n`;
  }

  get accepted(): boolean {
    return this.#end.includes(this.#line);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: (error: null, chunk: Buffer) => void): void {
    this.#end = (this.#end + chunk.toString("latin1")).slice(-REPORT_BYTES);
    done(null, chunk);
  }
}
