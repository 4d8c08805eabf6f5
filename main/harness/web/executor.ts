/** Answers `web_search` and `web_fetch` with a request of their own that carries the endpoint's server tool. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ContentBlockParam } from "@anthropic-ai/sdk/resources/messages/messages";
import { DEMO_MODEL } from "../../contract/demo.ts";
import type { Usage } from "../../contract/events.ts";
import type { Ledger } from "../../session/ledger.ts";
import { ModelError, type ModelPort } from "../model.ts";
import { checkedArgument, Refused } from "./allowed/argument.ts";
import { emptyAnswer, takeEvent, type WebAnswer } from "./endpoint/answer.ts";
import { codeText, failureText, missingText, NO_ENDPOINT_TEXT } from "./endpoint/failures.ts";
import { webRequest } from "./endpoint/request.ts";
import { type Outcome, outcomeOf, text } from "./endpoint/results.ts";
import { cannotForce, isMissing, isTransient } from "./endpoint/verdicts.ts";
import type { ResultContent, WebCall, WebResult, WebSpending, WebTools } from "./port.ts";

export interface WebToolsOptions {
  model: Pick<ModelPort, "stream">;
  ledger: Pick<Ledger, "getEvents">;
  /** Delay before the second attempt, doubled for the third. Default 1,000 ms. */
  retry_ms?: number;
  /** A call that takes longer is given up. Default 180,000 ms. */
  timeout_ms?: number;
}

const MAX_ATTEMPTS = 3;
/** An endpoint that asks for a longer pause is not waited for: the session's model decides what to do meanwhile. */
const MAX_WAIT_MS = 15_000;
const MAX_CONTINUATIONS = 2;

type Step = { done: ResultContent[] } | { error: string; again?: number | null };

export class EndpointWebTools implements WebTools {
  readonly #options: WebToolsOptions;
  /** What this endpoint was found to lack, by model and tool. The endpoint is the same for the process's life. */
  readonly #missing = new Map<string, string>();
  /** Models that cannot be made to call a tool first. */
  readonly #unforced = new Set<string>();

  constructor(options: WebToolsOptions) {
    this.#options = options;
  }

  async execute(call: WebCall, signal: AbortSignal): Promise<WebResult> {
    const known = this.#missing.get(keyOf(call));
    if (known !== undefined) return failed(known, null);
    let argument: string;
    try {
      argument = await checkedArgument(call, this.#options.ledger);
    } catch (error) {
      if (error instanceof Refused) return failed(error.message, null);
      throw error;
    }
    const limit = this.#options.timeout_ms ?? 180_000;
    const run = new Run(call, AbortSignal.any([signal, AbortSignal.timeout(limit)]));
    let last = "";
    try {
      for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt++) {
        const step = await this.#attempt(run, argument);
        if ("done" in step) return { content: step.done, is_error: false, spent: run.spent() };
        last = step.error;
        const wait = waitBefore(attempt, step, this.#options.retry_ms ?? 1_000);
        if (wait === null) break;
        await sleep(wait, undefined, { signal: run.signal });
      }
    } catch (error) {
      if (signal.aborted) throw error;
      if (!run.signal.aborted) throw error;
      last = `${call.tool} was given up after ${Math.round(limit / 1000)} seconds.${last === "" ? "" : ` Last failure: ${last}`}`;
    }
    return failed(last, run.spent());
  }

  async #attempt(run: Run, argument: string): Promise<Step> {
    const { call } = run;
    const model = call.agent.model.id;
    const forced = !this.#unforced.has(model);
    let outcome: Outcome;
    try {
      outcome = await this.#ask(run, argument, forced);
    } catch (error) {
      if (run.signal.aborted) throw error;
      const failure = error instanceof ModelError ? error : new ModelError("failed", String(error));
      if (forced && cannotForce(failure)) {
        this.#unforced.add(model);
        return { error: failure.message, again: 0 };
      }
      if (isMissing(failure)) return { error: this.#remember(call, failure.message) };
      const again = isTransient(failure) ? { again: failure.retryAfterMs } : {};
      return { error: failureText(call.tool, failure), ...again };
    }
    switch (outcome.kind) {
      case "content":
        return { done: outcome.content };
      case "failed": {
        const passing = outcome.code === "too_many_requests" || outcome.code === "unavailable";
        return { error: codeText(call.tool, outcome.code), ...(passing ? { again: null } : {}) };
      }
      case "unusable":
        return { error: `${call.tool} gave no usable result. ${outcome.reason}` };
      case "pending":
        return {
          error: `${call.tool} was called, but the endpoint's answer ended before its result came.`,
          again: null,
        };
      case "unused":
        return { error: this.#unused(run, forced) };
    }
  }

  async #ask(run: Run, argument: string, forced: boolean): Promise<Outcome> {
    const { call } = run;
    const soFar: ContentBlockParam[] = [];
    for (let part = 0; ; part++) {
      const answer = run.begin();
      const body = webRequest(call, argument, soFar, forced && part === 0);
      for await (const event of this.#options.model.stream(call.session_id, body, run.signal)) takeEvent(answer, event);
      if (!answer.complete)
        throw new ModelError("failed", "The endpoint's stream ended before its answer was complete.");
      const outcome = outcomeOf(call, answer);
      if (outcome.kind !== "pending" || answer.stop_reason !== "pause_turn" || part === MAX_CONTINUATIONS)
        return outcome;
      soFar.push(...(answer.blocks as unknown as ContentBlockParam[]).filter(notBlank));
    }
  }

  /** The endpoint answered and its tool was not used: most endpoints that do not have it just leave it out. */
  #unused(run: Run, forced: boolean): string {
    const { call, last } = run;
    if (last?.model === DEMO_MODEL) return NO_ENDPOINT_TEXT;
    if (last?.stop_reason === "refusal") return `The model declined to run this ${call.tool}.`;
    const said = `${call.agent.model.id} did not use the tool.`;
    // Not sure when the model was free to answer without it, or was cut off before it could.
    if (!forced || last?.stop_reason === "max_tokens") return missingText(call.tool, said);
    return this.#remember(call, said);
  }

  #remember(call: WebCall, detail: string): string {
    const message = missingText(call.tool, detail);
    this.#missing.set(keyOf(call), message);
    return message;
  }
}

/** One call: its requests, and what they cost. */
class Run {
  readonly call: WebCall;
  /** Aborts when the call is stopped or has taken too long. */
  readonly signal: AbortSignal;
  readonly #started = performance.now();
  readonly #answers: WebAnswer[] = [];

  constructor(call: WebCall, signal: AbortSignal) {
    this.call = call;
    this.signal = signal;
  }

  get last(): WebAnswer | undefined {
    return this.#answers.at(-1);
  }

  begin(): WebAnswer {
    const answer = emptyAnswer(this.call.agent.model.id);
    this.#answers.push(answer);
    return answer;
  }

  spent(): WebSpending {
    const usage: Usage = {
      input_tokens: 0,
      output_tokens: 0,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
    };
    for (const answer of this.#answers) {
      for (const key of Object.keys(usage) as (keyof Usage)[]) usage[key] += answer.usage[key];
    }
    const sum = (count: (answer: WebAnswer) => number): number =>
      this.#answers.reduce((total, answer) => total + count(answer), 0);
    return {
      model: this.last?.model ?? this.call.agent.model.id,
      usage,
      web_search_requests: sum((answer) => answer.web_search_requests),
      web_fetch_requests: sum((answer) => answer.web_fetch_requests),
      attempts: this.#answers.length,
      duration_ms: Math.round(performance.now() - this.#started),
    };
  }
}

/** Milliseconds to wait for another attempt; null when there is none. */
function waitBefore(attempt: number, step: Step, first: number): number | null {
  if (attempt === MAX_ATTEMPTS || !("again" in step) || step.again === undefined) return null;
  if (step.again === 0) return 0;
  const asked = step.again ?? 0;
  return asked > MAX_WAIT_MS ? null : Math.max(asked, first * 2 ** (attempt - 1));
}

const keyOf = (call: WebCall): string => `${call.agent.model.id}\0${call.tool}`;

function failed(message: string, spent: WebSpending | null): WebResult {
  return { content: [text(message)], is_error: true, spent };
}

/** The API refuses text of white space alone, though models send it. */
function notBlank(block: ContentBlockParam): boolean {
  return block.type !== "text" || block.text.trim() !== "";
}
