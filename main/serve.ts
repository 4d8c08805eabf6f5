/** The engine process: boots from its parent's message, reports, forwards what the parent says, drains on request. */
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Engine, startEngine } from "./compose.ts";
import type { BrokerAddress, EngineBoot, FromEngine, ToEngine } from "./contract/process.ts";
import { armCrashPoint } from "./crash_points.ts";
import { log } from "./engine/log.ts";
import { describeStartFailure } from "./engine/start_failure.ts";
import { parentPort } from "./parent_port.ts";

const port = parentPort<FromEngine, ToEngine>();
let engine: Engine | null = null;
let stopping = false;
/** A broker that moved while the engine was still starting. */
let movedBroker: BrokerAddress | null = null;

port.onMessage((message) => void handle(message));
// Without its parent nobody restarts, supervises or drains this process; the ledger is safe at any moment.
port.onDisconnect(() => process.exit(0));
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void drain());
process.on("uncaughtException", (error) => {
  // The state of an unknown failure cannot be trusted. Dying is safe: the parent restarts, sessions wake up.
  log.fatal({ err: error }, "the engine failed and is restarted; nothing that was acknowledged is lost");
  process.exit(70);
});

async function handle(message: ToEngine): Promise<void> {
  switch (message.type) {
    case "boot":
      return boot(message);
    case "broker":
      movedBroker = message.broker;
      return engine?.setBroker(message.broker);
    case "power":
      return engine?.power(message.state);
    case "network":
      return engine?.network(message.online);
    case "sign_in_code":
      if (engine !== null) port.send({ type: "sign_in_code", code: engine.signInCode() });
      return;
    case "drain":
      return drain();
  }
}

async function boot(message: EngineBoot): Promise<void> {
  try {
    armCrashPoint(process.env["LONGHAUL_CRASH_AT"]);
    engine = await startEngine({
      ...message,
      sandbox_host: siblingEntry("sandbox_host", join("sandbox", "embedded", "host")),
      limits: testLimits(),
      onError: (session, error) =>
        log.error({ session, err: error }, "a run ended because the ledger failed; it is tried again at the next wake"),
      log: (line) => log.info(line),
      reportFailure: ({ error, ...request }) => log.error({ ...request, err: error }, "a request failed"),
    });
  } catch (error) {
    port.send({ type: "failed", ...describeStartFailure(error, message) });
    // A message to the parent is asynchronous: give it a moment before the process ends.
    setTimeout(() => process.exit(1), 50);
    return;
  }
  if (movedBroker !== null) engine.setBroker(movedBroker);
  port.send({ type: "ready", url: engine.url, token: engine.token, pid: process.pid });
  tellAttention(engine);
}

/** Built entries are siblings in one folder; sources stand where they belong. */
function siblingEntry(built: string, source: string): string {
  const here = fileURLToPath(import.meta.url);
  return extname(here) === ".ts" ? join(dirname(here), `${source}.ts`) : join(dirname(here), `${built}.js`);
}

/** Limits that tests set so that rare paths are reached in seconds. */
function testLimits(): { compact_at_tokens?: number } {
  const tokens = Number(process.env["LONGHAUL_COMPACT_AT"]);
  return Number.isSafeInteger(tokens) && tokens > 0 ? { compact_at_tokens: tokens } : {};
}

function tellAttention(running: Engine): void {
  let due = false;
  running.onActivity(() => {
    if (due) return;
    due = true;
    // Badges and tray need no more than a few updates per second.
    setTimeout(() => {
      due = false;
      if (stopping) return;
      running.attention().then(
        (counts) => port.send({ type: "attention", ...counts }),
        (error: unknown) => log.warn({ err: error }, "the session counts could not be read"),
      );
    }, 250);
  });
}

async function drain(): Promise<void> {
  if (stopping) return;
  stopping = true;
  try {
    await engine?.drain();
    process.exit(0);
  } catch (error) {
    log.error({ err: error }, "the engine could not stop in order; sessions go on at the next start");
    process.exit(1);
  }
}
