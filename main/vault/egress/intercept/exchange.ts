/**
 * The requests of one intercepted connection: each goes to the host with values for placeholders, and its answer comes
 * back without them.
 */
import { type ClientRequest, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import type { AuditLog } from "../../grants/audit.ts";
import { Redactor } from "../../redact.ts";
import { Refusal } from "../../refusal.ts";
import { holdsPlaceholder, replaceAll, replacingStream } from "./message/placeholders.ts";
import { RequestRefused } from "./message/refused.ts";
import { type BodyPlan, bodyPlan, framing, MAX_WHOLE, readWhole } from "./message/request_body.ts";
import { sentHeaders, sentTrailers, targetOf } from "./message/request_head.ts";
import { answeredBody } from "./message/response_body.ts";
import { maskedText, passedHeaders, passedTrailers } from "./message/response_head.ts";
import type { Upstream } from "./upstream.ts";
import { UseLog, Uses } from "./uses.ts";
import type { OpenedVariables, Unusable, Variables } from "./variables.ts";

export interface ExchangeOptions {
  sessionId: string;
  /** Canonical name or IPv4 address. */
  host: string;
  variables: Variables;
  audit: AuditLog;
  upstream: Upstream;
  /** Told about failures that are this program's. */
  onFault: (error: unknown) => void;
}

/** A request that is under way. */
export interface Departure {
  outgoing: ClientRequest;
  redactor: Redactor;
}

/** Requests that may be sent before their answers have come; each takes memory here. */
const MAX_AHEAD = 16;
/** What a whole body may become by its values. */
const MAX_REPLACED = 8 * MAX_WHOLE;

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #log: UseLog;
  #ahead = 0;
  /** Settles when the answer before has been given: requests reach the host in the order in which they were made. */
  #before: Promise<void> = Promise.resolve();

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#log = new UseLog(options.audit, { session_id: options.sessionId, host: options.host });
  }

  /** Answers one request; never rejects. */
  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#ahead += 1;
    response.on("close", () => {
      this.#ahead -= 1;
    });
    response.on("error", () => response.destroy());
    request.on("error", () => undefined);
    if (this.#ahead > MAX_AHEAD) return void request.socket.destroy();
    const before = this.#before;
    this.#before = new Promise((resolve) => response.once("close", resolve));
    await before;
    if (response.destroyed) return;
    try {
      const departure = await this.depart(request, []);
      response.on("close", () => departure.outgoing.destroy());
      if (response.destroyed) return void departure.outgoing.destroy();
      await this.pass(await answerOf(departure.outgoing), departure, request, response);
    } catch (error) {
      if (response.destroyed || request.socket.destroyed) return;
      // The host had ended a kept connection. As it would be without us, so that the caller's own rule for it applies.
      if (error instanceof StaleConnection) return void request.socket.destroy();
      this.refusalOf(error).answer(response);
    }
  }

  /**
   * Sends a request to the host. Rejects with an error for {@link refusalOf}; then nothing with a value in it was sent.
   * @param more headers that are not the caller's
   */
  async depart(request: IncomingMessage, more: readonly string[]): Promise<Departure> {
    const { host, sessionId, variables, upstream } = this.#options;
    const path = targetOf(request, host);
    const opened = await variables.open(sessionId, host);
    const uses = new Uses(this.#log);
    const texts = request.rawHeaders.filter((_, at) => at % 2 === 1);
    this.#refuseWithout(
      opened.unusable.filter((one) => one.header && texts.some((text) => holdsPlaceholder(text, one.placeholder))),
    );
    const headers = sentHeaders(request.rawHeaders, host, uses.replacements(opened.usable, "header"));
    const { plan, whole } = await this.#body(request, opened, uses);
    const method = request.method ?? "GET";
    uses.sent(method);
    const framed = [...headers, ...more, ...framing(plan, method, whole)];
    const outgoing = httpRequest({ agent: upstream, host, port: 443, method, path, headers: framed });
    // Whoever waits for the answer hears of it too; a late one must not end the broker.
    outgoing.on("error", () => outgoing.destroy());
    if (plan.how === "none" || whole !== null) outgoing.end(whole ?? undefined);
    else this.#stream(request, outgoing, plan, opened, uses);
    const redactor = new Redactor([]);
    redactor.learn(opened.usable.map(({ value }) => value));
    return { outgoing, redactor };
  }

  /** Reads the body when it is small; says what is to be done with it else. */
  async #body(
    request: IncomingMessage,
    { usable, unusable }: OpenedVariables,
    uses: Uses,
  ): Promise<{ plan: BodyPlan; whole: Buffer | null }> {
    const inBody = uses.replacements(usable, "body");
    const missing = unusable.filter(({ body }) => body);
    const plan = bodyPlan(request, inBody.length + missing.length > 0);
    // What passes by cannot be called back when a placeholder turns up in it.
    if (plan.how === "passing") this.#refuseWithout(missing);
    if (plan.how !== "whole") return { plan, whole: null };
    const bytes = await readWhole(request);
    this.#refuseWithout(missing.filter(({ placeholder }) => bytes.includes(placeholder)));
    const whole = replaceAll(bytes, inBody, plan.encoding, MAX_REPLACED);
    if (whole !== null) return { plan, whole };
    throw new RequestRefused(413, "value", "With the values of its variables the request's body is too large.");
  }

  /** @throws RequestRefused when there is one: the request needs its value */
  #refuseWithout([first]: readonly Unusable[]): void {
    if (first === undefined) return;
    const { refusal } = first;
    this.#log.note(first, "refused", refusal.code ?? "the value cannot be read");
    const forGood = refusal.code === "value_missing" || refusal.code === "key_missing";
    const text = `The value of a variable cannot be put in, so the request was not sent. ${refusal.message}`;
    throw new RequestRefused(forGood ? 502 : 503, "credential", text);
  }

  #stream(
    request: IncomingMessage,
    outgoing: ClientRequest,
    plan: BodyPlan,
    { usable }: OpenedVariables,
    uses: Uses,
  ): void {
    const body =
      plan.how === "passing"
        ? request.pipe(replacingStream(uses.replacements(usable, "body"), plan.encoding))
        : request;
    body.pipe(outgoing, { end: false });
    body.on("end", () => {
      try {
        const trailers = sentTrailers(request.rawTrailers, uses.replacements(usable, "header"));
        uses.sent(request.method ?? "GET");
        if (trailers.length > 0) outgoing.addTrailers(trailers);
        outgoing.end();
      } catch (error) {
        outgoing.destroy(error as Error);
      }
    });
    // A request that breaks off must not look complete to the host.
    request.on("close", () => {
      if (!request.complete) outgoing.destroy();
    });
    // What is left of a body that nobody wants any more is taken from the caller and thrown away.
    outgoing.on("close", () => {
      body.unpipe(outgoing);
      body.resume();
    });
  }

  /** Passes an answer on. Rejects with {@link RequestRefused} when it cannot be; never once it has begun. */
  async pass(
    answer: IncomingMessage,
    { redactor }: Departure,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const bodiless = request.method === "HEAD" || answer.statusCode === 204 || answer.statusCode === 304;
    const accepted = String(request.headers["accept-encoding"] ?? "");
    const body = answeredBody(answer, accepted, redactor);
    const changes = bodiless ? { through: [], changed: false, coded: true } : body;
    const headers = passedHeaders(answer, redactor, changes);
    // The rest of the request would be taken for the next one.
    if (!request.complete) headers.push("connection", "close");
    response.sendDate = false;
    try {
      const said = maskedText(answer.statusMessage ?? "", redactor);
      response.writeHead(answer.statusCode ?? 502, said, headers);
      response.flushHeaders();
    } catch {
      answer.destroy();
      // What Node reads it does not always write: a status of 099, control characters.
      const text = "The host gave an answer that is no valid HTTP, so it was not passed on.";
      throw new RequestRefused(502, "answer", text);
    }
    try {
      await pipeline([answer, ...changes.through, response], { end: false });
      const trailers = passedTrailers(answer, redactor);
      if (trailers.length > 0) response.addTrailers(trailers);
      response.end();
    } catch {
      // Broken off, so that nobody takes it for complete.
      response.destroy();
    }
  }

  /** What the program in the sandbox is told of a failure. Notes what was refused for the request's own sake. */
  refusalOf(error: unknown): RequestRefused {
    if (error instanceof Refusal) return new RequestRefused(503, "credential", `Nothing was sent. ${error.message}`);
    if (error instanceof RequestRefused) {
      if (["fronting", "value", "certificate"].includes(error.code)) this.refuseAll(error.code);
      return error;
    }
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) this.#options.onFault(error);
    const text = `The connection to ${this.#options.host} broke before it answered (${code ?? "no reason given"}).`;
    return new RequestRefused(502, "unreachable", text);
  }

  /** Notes that none of the credentials for this host was used, and why. */
  refuseAll(reason: string): void {
    const { sessionId, host, variables } = this.#options;
    try {
      this.#log.refuseAll(variables.at(sessionId, host), reason);
    } catch {
      // The session's grants were forgotten meanwhile: it has no log to tell.
    }
  }
}

/** A connection that had been kept was ended by the host before it took the request. */
class StaleConnection extends Error {}

/** Rejects with what kept the answer from coming. */
function answerOf(outgoing: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once("response", resolve);
    outgoing.once("upgrade", (_answer, socket) => {
      socket.destroy();
      reject(new RequestRefused(502, "answer", "The host switched to another protocol, which nobody had asked for."));
    });
    outgoing.once("error", (error: NodeJS.ErrnoException) => {
      reject(outgoing.reusedSocket && error.code === "ECONNRESET" ? new StaleConnection() : error);
    });
    outgoing.once("close", () => reject(Object.assign(new Error("ended"), { code: "ECONNRESET" })));
  });
}
