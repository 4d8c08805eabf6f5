/** What `run` and `resume` share: an engine for the duration, Ctrl+C, the account, and its end with an exit code. */
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Settings } from "../../config.ts";
import type { Health } from "../../contract/local_api.ts";
import { sandboxLayout } from "../../sandbox/embedded/layout.ts";
import type { AccountState } from "../account/account.ts";
import { type EndingFacts, endingJson, endingText } from "../account/ending.ts";
import { type Style, styleFor, textOf } from "../account/words.ts";
import { LocalClient } from "../client.ts";
import { type Context, EXIT } from "../command.ts";
import { type OpenedEngine, openEngine } from "../engine/open_engine.ts";
import { howToAnswer } from "../follow/approvals.ts";
import { type Ending, follow } from "../follow/follow.ts";
import { type Interrupts, listenForInterrupts } from "../follow/interrupts.ts";

export interface SessionCommandOptions {
  context: Context;
  settings: Settings;
  /** true: an engine that is started for this gets no model endpoint at all. */
  demo: boolean;
  verbose: boolean;
  json: boolean;
}

/** Everything a body of {@link withEngine} works with. */
export interface Desk extends SessionCommandOptions {
  engine: OpenedEngine;
  client: LocalClient;
  health: Health;
  style: Style;
  interrupts: Interrupts;
  /** Tells Ctrl+C which session it interrupts. */
  watch: (sessionId: string) => void;
}

const EXIT_CODES: Record<Ending, number> = {
  done: EXIT.done,
  failed: EXIT.failed,
  needs_you: EXIT.needs_you,
  interrupted: EXIT.interrupted,
  left: EXIT.interrupted,
  deleted: EXIT.failed,
};

/** Runs `body` with an engine; one that was started for it is drained before this resolves, however `body` ends. */
export async function withEngine(
  options: SessionCommandOptions,
  body: (desk: Desk) => Promise<number>,
): Promise<number> {
  const { context, settings, demo, verbose } = options;
  let engine: OpenedEngine | null = null;
  let client: LocalClient | null = null;
  let sessionId: string | null = null;
  const say = (line: string): void => context.terminal.err(`\n${line}\n`);
  const interrupts = listenForInterrupts({
    interrupt: () => {
      if (client === null || sessionId === null) return false;
      void interruptSession(client, sessionId, say);
      return true;
    },
    kill: () => {
      if (engine?.owned === true) engine.kill();
      else process.exit(EXIT.interrupted);
    },
    say,
  });
  try {
    engine = await openEngine({ context, settings, demo, verbose });
    const opened = engine;
    client = new LocalClient(opened.facts);
    if (interrupts.leaving.aborted) return EXIT.interrupted;
    const health = await client.health();
    const watch = (id: string): void => {
      sessionId = id;
    };
    const style = styleFor(context.terminal.color);
    return await body({ ...options, engine: opened, client, health, style, interrupts, watch });
  } catch (error) {
    // Requests that were cut by leaving fail; that the person left is the truth about them.
    if (interrupts.leaving.aborted) return EXIT.interrupted;
    throw error;
  } finally {
    await engine?.close();
    interrupts.dispose();
  }
}

async function interruptSession(client: LocalClient, id: string, say: (line: string) => void): Promise<void> {
  try {
    const sdk = await client.sdk();
    await sdk.beta.sessions.events.send(id, { events: [{ type: "user.interrupt" }] });
  } catch (error) {
    say(`The interrupt did not reach the engine (${error instanceof Error ? error.message : String(error)}).`);
  }
}

/** Lines that say what will work on the task. */
export function openingText({ health, style, engine }: Desk, sessionId: string, demo: boolean): string {
  const { model, sandbox } = health;
  const source =
    model.source === "demo" ? "offline demo model" : `model at ${model.endpoint} (from the ${model.source})`;
  const lines = [
    `${style.paint("bold", "Longhaul")} ${health.version} · ${source} · ${sandbox.provider} sandbox`,
    style.paint(
      "dim",
      `session ${sessionId}${engine.owned ? "" : ` · engine at process ${health.pid}, started elsewhere`}`,
    ),
  ];
  if (!demo && model.state === "missing")
    lines.push(style.paint("yellow", `${model.summary} ${model.advice ?? ""}`.trim()));
  return `${lines.join("\n")}\n\n`;
}

/** Follows the session from `state` and prints how it ended. @returns the exit code */
export async function followToEnd(desk: Desk, sessionId: string, state: AccountState): Promise<number> {
  const { client, style, json, interrupts, context } = desk;
  const followed = await follow({
    client,
    terminal: context.terminal,
    style,
    session_id: sessionId,
    state,
    json,
    interrupts,
  });
  return await conclude(desk, sessionId, followed.state, followed.ending);
}

/** Prints the closing block. @returns the exit code */
export async function conclude(desk: Desk, sessionId: string, state: AccountState, ending: Ending): Promise<number> {
  const { context, json, style } = desk;
  const exitCode = EXIT_CODES[ending];
  if (state.fold === null) return exitCode;
  // A deleted session has nothing left to ask for; one that was left is not waited for.
  const ask = ending !== "deleted" && ending !== "left";
  const facts: EndingFacts = {
    ending,
    session_id: sessionId,
    fold: state.fold,
    final_message: state.final_message === null ? null : await fullText(desk.client, state.final_message.content, ask),
    files: sandboxFolder(desk.health.data_dir, sessionId),
    repositories: ask ? await writePatches(desk, sessionId, state.fold.resources.length) : [],
    advice: advice(ending, state, sessionId),
  };
  context.terminal.out(json ? endingJson(facts, exitCode) : endingText(facts, style));
  return exitCode;
}

/** A message over 64 KiB is kept apart from its event. */
async function fullText(client: LocalClient, content: unknown, ask: boolean): Promise<string> {
  const blocks: unknown[] = Array.isArray(content) ? content : [content];
  const full = await Promise.all(
    blocks.map(async (block) => {
      const marker = typeof block === "object" && block !== null && "text" in block ? block.text : null;
      if (!ask || typeof marker !== "object" || marker === null || !("longhaul_blob" in marker)) return block;
      return { type: "text", text: await client.blob(String(marker.longhaul_blob)) };
    }),
  );
  return textOf(full);
}

function advice(ending: Ending, state: AccountState, sessionId: string): string | null {
  const resume = `longhaul resume ${sessionId}`;
  const reason = state.fold?.stop_reason?.type;
  if (ending === "needs_you") return howToAnswer(state, sessionId);
  if (ending === "left") return `The session is not finished. \`${resume}\` goes on with it.`;
  if (ending !== "failed") return null;
  if (reason === "refusal") return "The model refused to go on. Another message or another model may help.";
  if (state.fold?.phase === "terminated") return "The session was ended for good; its events stay readable.";
  if (reason === "budget_reached") {
    return "The budget is reached. Nothing is lost: raise or remove it in the app, or with `budget` of the API's session update, and it goes on.";
  }
  const error = state.fold?.error?.message ?? "The turn could not be finished";
  return `${error}\nNothing is lost: once the cause is gone, \`${resume}\` goes on.`;
}

/** Where the session's `/workspace` is on this disk; null when it never had a sandbox here. */
function sandboxFolder(dataDir: string, sessionId: string): string | null {
  const folder = join(sandboxLayout(dataDir, sessionId).root, "workspace");
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true ? folder : null;
}

/** Writes each repository's changes as a patch file beside the data, ready for `git apply`. */
async function writePatches(desk: Desk, sessionId: string, resources: number): Promise<EndingFacts["repositories"]> {
  if (resources === 0) return [];
  const changes = await desk.client.changes(sessionId);
  return changes.map((change) => {
    if (change.patch === "") return { ...change, patch_file: null };
    const folder = join(desk.settings.data_dir, "patches", sessionId);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const patch_file = join(folder, `${basename(change.mount_path) || "repository"}.patch`);
    writeFileSync(patch_file, change.patch, { mode: 0o600 });
    return { ...change, patch_file };
  });
}
