/** `longhaul environment-key`: makes the credential with which a worker serves a `self_hosted` environment. */
import { readSettings, UsageError } from "../../config.ts";
import { isId } from "../../contract/ids.ts";
import { clip } from "../account/words.ts";
import { LocalClient } from "../client.ts";
import { type Command, CommandFailed, DATA_DIR_OPTION, EXIT } from "../command.ts";
import { findEngine } from "./engine_file.ts";

export const environmentKey: Command = {
  name: "environment-key",
  usage: "ENVIRONMENT [--name NAME] [--data-dir DIR]",
  summary: "Make a key for the workers of a self-hosted environment and print it",
  details: [
    "For example: export ANTHROPIC_ENVIRONMENT_KEY=$(longhaul environment-key env_…)",
    "It is shown this once: Longhaul keeps only its hash. Make another one when it is lost.",
  ],
  options: {
    ...DATA_DIR_OPTION,
    name: { type: "string", value: "NAME", help: "what the key is for, to find it again in the list" },
  },
  positionals: { min: 1, max: 1 },
  run: async ({ terminal, env }, args) => {
    const { data_dir } = readSettings({ "data-dir": args.text("data-dir") }, env);
    const id = args.positionals[0] ?? "";
    if (!isId("environment", id)) {
      throw new UsageError(`"${clip(id, 60)}" is not an environment id: they begin with env_.`);
    }
    const found = await findEngine(data_dir);
    if (found.state !== "running") {
      throw new CommandFailed(`No engine runs on ${data_dir}. Start one with: longhaul serve --data-dir ${data_dir}`);
    }
    const { facts } = found;
    const { value } = await new LocalClient(async () => facts).environmentKey(id, args.text("name") ?? null);
    terminal.out(`${value}\n`);
    return EXIT.done;
  },
};
