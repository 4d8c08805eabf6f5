/** The broker process: waits for its boot message, listens, and ends with its parent. */
import type { FromBroker, ToBroker } from "../contract/process.ts";
import { parentPort } from "../parent_port.ts";
import { type Broker, startBroker } from "./broker.ts";

const DRAIN_MS = 5_000;
const BOOT_WAIT_MS = 30_000;

const port = parentPort<FromBroker, ToBroker>();
let broker: Promise<Broker> | null = null;

// A broker without its parent would hold a credential that nobody asked it to keep.
port.onDisconnect(() => process.exit(0));
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => void drain());
process.on("uncaughtException", (error) => void die(error));
process.on("unhandledRejection", (error) => void die(error));

const unbooted = setTimeout(() => process.exit(1), BOOT_WAIT_MS);

port.onMessage((message) => {
  if (message.type === "drain") return void drain();
  if (message.type !== "boot" || broker !== null) return;
  clearTimeout(unbooted);
  broker = startBroker(message, { onPassphrase: (passphrase) => port.send({ type: "passphrase", passphrase }) });
  broker.then(
    ({ url }) => port.send({ type: "ready", url, pid: process.pid }),
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : "unknown";
      const text = `The credential broker cannot start: ${reason} Nothing is lost. Start Longhaul again.`;
      port.send({ type: "failed", code: "other", message: text });
      // A message to the parent is asynchronous: give it a moment before the process ends.
      setTimeout(() => process.exit(1), 50);
    },
  );
});

async function drain(): Promise<void> {
  const running = await broker?.catch(() => null);
  await running?.close(DRAIN_MS);
  process.exit(0);
}

/** An unknown failure: only the masked log may say what it was, because the default report could print a secret. */
async function die(error: unknown): Promise<void> {
  const running = await broker?.catch(() => null);
  if (running == null) process.stderr.write("The credential broker failed before it had started.\n");
  running?.log.fatal({ err: error }, "the broker failed and is restarted; sessions ask for their capabilities anew");
  process.exit(70);
}
