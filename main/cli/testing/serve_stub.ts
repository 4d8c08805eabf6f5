/** `longhaul serve` with the supervisor's stub as engine and broker: what the command itself does, as a real process. */
import { fileURLToPath } from "node:url";
import { takeModelEndpoint } from "../../config.ts";
import { readCommandLine } from "../arguments.ts";
import { CommandFailed } from "../command.ts";
import { serve } from "../serve.ts";
import { processTerminal } from "../terminal.ts";

const stub = fileURLToPath(new URL("../../supervision/testing/stub_child.ts", import.meta.url));
const model = takeModelEndpoint(process.env);
const invocation = readCommandLine(["serve", ...process.argv.slice(2)], [serve]);
if (invocation.kind !== "run") throw new Error("only flags of serve are understood");
const context = {
  terminal: processTerminal(process, process.env),
  env: process.env,
  model: () => model,
  vaultPassphrase: () => null,
  entries: { engine: stub, broker: stub },
  renderer_dir: null,
  version: "0.0.0",
  verifyLedger: () => Promise.resolve([]),
};
try {
  process.exit(await invocation.command.run(context, invocation.args));
} catch (error) {
  if (!(error instanceof CommandFailed)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(error.exit_code);
}
