/** What the facts of a test run say of each method and each event type, as a table for a terminal and as Markdown. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Fact } from "./facts.ts";
import { NO_ENDPOINT, type Sdk } from "./recorder.ts";

/** Success and a main error path, without a fault: supported; one of both, or a fault: partial. */
export type State = "supported" | "partial" | "none";

export interface Seen {
  state: State;
  success: boolean;
  /** Statuses of errors, 401 and those of a missing endpoint left out: every path has them. */
  errors: number[];
  faults: number;
}

export interface MethodRow {
  name: string;
  /** Verb and path; of a helper, what it is. */
  http: string;
  /** By version of the SDK. */
  sdks: Record<string, Seen>;
  /** Number of tests that called it. */
  tests: number;
}

export interface EventRow {
  type: string;
  /** Number of tests in which the product sent it. */
  tests: number;
  /** Why this server does not send it; null when it should. */
  excuse: string | null;
}

export interface Report {
  methods: MethodRow[];
  events: EventRow[];
  /** Everything that keeps the contract from being whole, in words. */
  problems: string[];
}

const WORKFLOW = "workflow programs run in the hosted service only: nothing public says what they are made of";

/** Event types that this server does not send, and why. One that is sent all the same is a problem: the list is wrong then. */
const EXCUSES: Record<string, string> = {
  "workflow_run.created": WORKFLOW,
  "workflow_run.status_running": WORKFLOW,
  "workflow_run.status_idle": WORKFLOW,
  "workflow_run.status_ended": WORKFLOW,
  "workflow_run.error": WORKFLOW,
  "workflow_run.phase_started": WORKFLOW,
  "workflow_run.phase_ended": WORKFLOW,
};

/** The facts in every `.jsonl` file of a folder. A line that was cut off is left out. */
export function readFacts(folder: string): Fact[] {
  const facts: Fact[] = [];
  for (const name of readdirSync(folder).filter((one) => one.endsWith(".jsonl"))) {
    for (const line of readFileSync(join(folder, name), "utf8").split("\n")) {
      try {
        if (line !== "") facts.push(JSON.parse(line) as Fact);
      } catch {
        // The process was killed while it wrote.
      }
    }
  }
  return facts;
}

/** @param sdks the newest first; its methods make the rows */
export function reportOf(sdks: readonly Sdk[], facts: readonly Fact[]): Report {
  const calls = facts.filter((fact) => fact.kind === "call").filter(({ server }) => server !== "stub");
  const [newest] = sdks;
  if (newest === undefined) throw new Error("A report needs an SDK.");
  const rows = [
    ...newest.methods.http.map(({ name, verb, path }) => ({ name, http: `${verb} ${path}`, mark: null })),
    ...newest.methods.helpers.map(({ name, mark }) => ({ name, http: `(${mark})`, mark })),
  ];
  const methods = rows.map(({ name, http, mark }): MethodRow => {
    const its = calls.filter((call) => (mark === null ? call.method === name : call.helpers.includes(mark)));
    const ofSdk = ({ version }: Sdk): [string, Seen] => [version, seen(its.filter(({ sdk }) => sdk === version))];
    return { name, http, sdks: Object.fromEntries(sdks.map(ofSdk)), tests: new Set(its.map(({ test }) => test)).size };
  });
  const events = eventRows(newest, facts);
  return { methods, events, problems: problemsOf(methods, events) };
}

function seen(calls: readonly Extract<Fact, { kind: "call" }>[]): Seen {
  const success = calls.some(({ status }) => status < 300);
  const refused = calls.filter(
    ({ status, error }) => status >= 400 && status < 500 && status !== 401 && error !== NO_ENDPOINT,
  );
  const errors = [...new Set(refused.map(({ status }) => status))].sort();
  const faults = calls.reduce((sum, call) => sum + call.faults, 0);
  const parts = Number(success) + Number(errors.length > 0);
  return {
    success,
    errors,
    faults,
    state: parts === 0 ? "none" : parts === 2 && faults === 0 ? "supported" : "partial",
  };
}

function eventRows(sdk: Sdk, facts: readonly Fact[]): EventRow[] {
  const file = "resources/beta/sessions/events.d.ts";
  const types = new Set<string>();
  const stored = sdk.types.shape(file, "BetaManagedAgentsSessionEventType");
  if (stored.kind === "union") for (const part of stored.of) if (part.kind === "literal") types.add(String(part.value));
  const streamed = sdk.types.shape(file, "BetaManagedAgentsStreamSessionEvents");
  for (const part of streamed.kind === "union" ? streamed.of : []) {
    const type = part.kind === "object" ? part.members.get("type")?.shape() : undefined;
    if (type?.kind === "literal") types.add(String(type.value));
  }
  const events = facts.filter((fact) => fact.kind === "event").filter(({ server }) => server === "product");
  return [...types].sort().map((type) => ({
    type,
    tests: new Set(events.filter((event) => event.type === type).map(({ test }) => test)).size,
    excuse: EXCUSES[type] ?? null,
  }));
}

function problemsOf(methods: readonly MethodRow[], events: readonly EventRow[]): string[] {
  const problems: string[] = [];
  for (const { name, sdks } of methods) {
    for (const [version, { state, success, errors, faults }] of Object.entries(sdks)) {
      if (state === "supported") continue;
      const lacks = [
        success ? [] : ["no success"],
        errors.length > 0 ? [] : ["no error path"],
        faults > 0 ? ["faulty answers"] : [],
      ];
      problems.push(`${name} with SDK ${version}: ${lacks.flat().join(", ")}`);
    }
  }
  for (const { type, tests, excuse } of events) {
    if (tests === 0 && excuse === null) problems.push(`event ${type}: sent in no test`);
    if (tests > 0 && excuse !== null) problems.push(`event ${type}: is listed as never sent, and was sent`);
  }
  return problems;
}
