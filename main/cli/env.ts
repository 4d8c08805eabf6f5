/** `longhaul env`: what other programs need to talk to a running engine. */
import { readSettings } from "../config.ts";
import { type Command, CommandFailed, DATA_DIR_OPTION, EXIT } from "./command.ts";
import { findEngine } from "./engine/engine_file.ts";

export const env: Command = {
  name: "env",
  usage: "[--data-dir DIR]",
  summary: "Print ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY of the running engine",
  details: [
    "For example: export $(longhaul env)",
    "Use another shell than the one that starts Longhaul: these variables would make it its own model endpoint.",
  ],
  options: DATA_DIR_OPTION,
  positionals: { min: 0, max: 0 },
  run: async ({ terminal, env: environment }, args) => {
    const { data_dir } = readSettings({ "data-dir": args.text("data-dir") }, environment);
    const found = await findEngine(data_dir);
    if (found.state === "running") {
      terminal.out(`ANTHROPIC_BASE_URL=${found.facts.url}\nANTHROPIC_API_KEY=${found.facts.token}\n`);
      return EXIT.done;
    }
    const why = found.state === "stale" ? ` (${found.why})` : "";
    throw new CommandFailed(
      `No engine runs on ${data_dir}${why}. Start one with: longhaul serve --data-dir ${data_dir}`,
    );
  },
};
