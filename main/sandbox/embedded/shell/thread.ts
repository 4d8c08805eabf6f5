/**
 * The shell, on a thread of its own so that any command can be stopped: a thread can be ended in the middle of an
 * endless loop. One script runs for as long as the shell lives; its loop waits for a command, whose parsed statements
 * then become the loop's body. So variables, functions, options and the working directory stay, as in a real shell.
 */
import { randomUUID } from "node:crypto";
import { parentPort } from "node:worker_threads";
import { Bash, type BashOptions, defineCommand, parse, type ScriptNode, type StatementNode } from "just-bash";
import { WORKDIR } from "../../machine.ts";
import { HOME, makeSandboxFolders } from "../layout.ts";
import { OutputCapture } from "./capture.ts";
import { SINK, shellFileSystem } from "./filesystem.ts";
import type { FromShell, RunCommand, ShellState, ShellThreadData } from "./protocol.ts";
import { PYTHON_COMMANDS } from "./python.ts";
import { redirected } from "./redirect.ts";

/** Not to be guessed: a command that calls it would wait for itself. */
const NEXT = `__next_${randomUUID()}`;
/** The inner loop ends with a stray `break` of a command; the outer one starts it again. */
const SCRIPT = `while true; do while ${NEXT} "$?"; do :; done; done`;

/** Some limits are sizes of what is set aside, so they cannot be infinite. */
const NO_LIMIT = 2 ** 52;

/**
 * just-bash counts over a whole script, which here is the shell's whole life: what adds up has no limit. The time limit
 * of the call and the memory watch of the host stop what runs away; limits of depth and of single values stay.
 */
const LIMITS: NonNullable<BashOptions["executionLimits"]> = {
  maxCommandCount: NO_LIMIT,
  maxLoopIterations: NO_LIMIT,
  maxAwkIterations: NO_LIMIT,
  maxSedIterations: NO_LIMIT,
  maxJqIterations: NO_LIMIT,
  maxWorkUnits: NO_LIMIT,
  maxTraversalEntries: NO_LIMIT,
  maxTraversalWork: NO_LIMIT,
  maxGlobOperations: NO_LIMIT,
  maxInputBytes: NO_LIMIT,
  maxOutputSize: NO_LIMIT,
  maxExecutionTimeMs: NO_LIMIT,
  maxPythonTimeoutMs: NO_LIMIT,
  maxJsTimeoutMs: NO_LIMIT,
  maxSqliteTimeoutMs: NO_LIMIT,
  maxCallDepth: 200,
};

/** Exit status with which just-bash ends a script that went over a limit. */
const LIMIT_STATUS = 126;

interface Job {
  capture: OutputCapture;
  statements: StatementNode[];
}

class ShellThread {
  readonly #root: string;
  readonly #readOnly: readonly string[];
  readonly #send: (message: FromShell) => void;
  #state: ShellState;
  #current: Job | null = null;
  #queued: Job | null = null;
  #wake: (() => void) | null = null;
  #loop: { body: StatementNode[] } | null = null;
  /** The variables that this shell was told of, as JSON. */
  #told = "{}";

  constructor(data: ShellThreadData, readOnly: readonly string[], send: (message: FromShell) => void) {
    this.#root = data.root;
    this.#readOnly = readOnly;
    this.#send = send;
    this.#state = data.state;
  }

  start(): void {
    const { cwd, env } = this.#state;
    this.#loop = null;
    this.#told = "{}";
    makeSandboxFolders(this.#root);
    const bash = new Bash({
      fs: shellFileSystem(this.#root, NEXT, this.#readOnly, (bytes) => this.#current?.capture.append(bytes)),
      cwd,
      env: { HOME, USER: "user", TERM: "dumb", LANG: "C.UTF-8", ...env, PWD: cwd },
      python: true,
      javascript: true,
      executionLimits: LIMITS,
      customCommands: [
        ...PYTHON_COMMANDS,
        defineCommand(NEXT, async ([status], context) => {
          await this.#nextCommand(Number(status), context.cwd, context.exportedEnv ?? {});
          return { stdout: "", stderr: "", exitCode: 0 };
        }),
      ],
    });
    bash.registerTransformPlugin({ name: "loop", transform: ({ ast }) => ({ ast: this.#adopt(ast) }) });
    bash.exec(SCRIPT, { rawScript: true }).then(
      (result) => this.#ended(result.exitCode === LIMIT_STATUS, null),
      (error: unknown) => this.#ended(true, error instanceof Error ? error.message : String(error)),
    );
  }

  run({ command, spillName, variables }: RunCommand): void {
    const spill = { root: this.#root, name: spillName };
    const capture = new OutputCapture(spill, (chunk) => this.#send({ type: "output", chunk }));
    try {
      this.#queued = { capture, statements: [...this.#exports(variables), ...redirected(parse(command), SINK)] };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      capture.append(Buffer.from(`bash: syntax error: ${message}\n`));
      this.#send({ type: "done", exitCode: 2, output: capture.finish(), state: null });
      return;
    }
    this.#wake?.();
  }

  /** @param variables placeholders, which need no escapes */
  #exports(variables: Record<string, string>): StatementNode[] {
    const told = JSON.stringify(variables);
    if (told === this.#told) return [];
    this.#told = told;
    return parse(
      Object.entries(variables)
        .map(([name, value]) => `export ${name}='${value}'`)
        .join("\n"),
    ).statements;
  }

  /** Called by the loop: reports the command before and waits for the next one. */
  async #nextCommand(status: number, cwd: string, env: Record<string, string>): Promise<void> {
    const done = this.#current;
    if (done !== null) {
      this.#current = null;
      const state = { cwd, env };
      const changed = JSON.stringify(state) !== JSON.stringify(this.#state);
      this.#state = state;
      this.#send({ type: "done", exitCode: status, output: done.capture.finish(), state: changed ? state : null });
    }
    if (this.#queued === null) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#wake = null;
    this.#current = this.#queued;
    this.#queued = null;
    if (this.#loop !== null) this.#loop.body = this.#current?.statements ?? [];
  }

  /** Keeps the inner loop of {@link SCRIPT}: its body is replaced before every round. */
  #adopt(ast: ScriptNode): ScriptNode {
    if (this.#loop === null) {
      const outer = ast.statements[0]?.pipelines[0]?.commands[0];
      const inner = outer?.type === "While" ? outer.body[0]?.pipelines[0]?.commands[0] : undefined;
      if (inner?.type !== "While") throw new Error("the shell's own loop was parsed into something else");
      this.#loop = inner;
    }
    return ast;
  }

  #ended(keepState: boolean, fault: string | null): void {
    const job = this.#current;
    this.#current = null;
    if (!keepState) this.#state = freshState();
    // Nothing ran, so the next shell would end in the same way at once.
    if (job === null) throw new Error(`The shell cannot run: ${fault ?? "its script ended"}`);
    this.#send({ type: "ended", output: job.capture.finish(), keepState, fault });
    this.start();
  }
}

/** What a shell starts with that has no past. */
export function freshState(): ShellState {
  return { cwd: WORKDIR, env: {} };
}

/**
 * Entry of the thread.
 * @param readOnly paths of the sandbox that the shell cannot change
 */
export function startShellThread(data: ShellThreadData, readOnly: readonly string[]): void {
  const port = parentPort;
  if (port === null) throw new Error("the shell runs on a thread of its own only");
  const send = port.postMessage.bind(port) as (message: FromShell) => void;
  const shell = new ShellThread(data, readOnly, send);
  port.on("message", (message: RunCommand) => shell.run(message));
  shell.start();
  send({ type: "ready" });
}
