/** What the parts of the conformance suite share. */
import { expect } from "vitest";
import { type Hand, type ProvisionRequest, type SandboxProvider, ToolFailure } from "../port.ts";

export interface SandboxUnderTest {
  /** A new provider object on the same sandboxes, as a restarted engine makes one. */
  open(): SandboxProvider;
  /** Kills the process that runs a session's calls, as a crash would. */
  kill(sessionId: string): Promise<void>;
  /** Frees what `setUp` took. */
  tearDown(): Promise<void>;
}

export type Fields = Record<string, unknown>;

/** The provider under test and one sandbox of it, for all tests of a run. */
export interface Bench {
  readonly subject: SandboxUnderTest;
  readonly provider: SandboxProvider;
  readonly hand: Hand;
  readonly session: string;
  bash(command: string, more?: Fields): Promise<string>;
}

let calls = 0;

/** A call id that no other call has. */
export function newCallId(): string {
  calls += 1;
  return `sevt_${Date.now().toString(36)}${process.pid}${calls}`;
}

export function provisionRequest(sessionId: string, more: Partial<ProvisionRequest> = {}): ProvisionRequest {
  return {
    session_id: sessionId,
    environment: {
      id: "env_1",
      name: "test",
      config: {
        type: "cloud",
        networking: { type: "unrestricted" },
        packages: { apt: [], cargo: [], gem: [], go: [], npm: [], pip: [], type: "packages" },
      },
    },
    resources: [],
    had_sandbox: false,
    onProgress: () => undefined,
    onStep: () => undefined,
    readFile: () => Promise.reject(new Error("no file is attached")),
    ...more,
  };
}

/** Runs a tool with a fresh id and no interruption. */
export function runTool(hand: Hand, name: string, input: unknown, id = newCallId()): Promise<string> {
  return hand.execute(name, input, { tool_use_id: id, signal: new AbortController().signal });
}

/** Starts a command whose first output tells that it runs; `begun` resolves then. */
export function startCommand(
  hand: Hand,
  command: string,
  more: { id?: string; signal?: AbortSignal } = {},
): { id: string; result: Promise<string>; begun: Promise<void> } {
  const id = more.id ?? newCallId();
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const signal = more.signal ?? new AbortController().signal;
  const result = hand.execute(
    "bash",
    { command: `echo begun; ${command}` },
    { tool_use_id: id, signal, onOutput: begin },
  );
  // Awaited by the test in its own time.
  result.catch(() => undefined);
  return { id, result, begun };
}

/** The text of the failure that a tool reports; the test fails when it succeeds. */
export async function failureOf(result: Promise<string>): Promise<string> {
  const error = await result.then(
    (text) => new Error(`it succeeded: ${text}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ToolFailure);
  return (error as ToolFailure).message;
}
