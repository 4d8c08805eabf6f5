/** `longhaul model`: the model endpoint in the vault. A key is read from stdin, never from the command line. */
import { UsageError } from "../../config.ts";
import type { ModelChange, ModelSettings, ModelTest } from "../../contract/vaults/settings.ts";
import { type Arguments, type Command, type Context, DATA_DIR_OPTION, EXIT } from "../command.ts";
import type { Terminal } from "../terminal.ts";
import { readSecret, runningEngine } from "./engine_client.ts";

const ACTIONS = ["set", "show", "clear", "test"];

export const model: Command = {
  name: "model",
  usage: "set|show|clear|test [--base-url URL] [--auth-token | --no-key] [--data-dir DIR] [--json]",
  summary: "Set, show, remove or test the model endpoint that the vault keeps",
  details: [
    "The key is read from stdin, without an echo where that is a terminal: longhaul model set < key.txt",
    "It is sealed by the running engine's broker and used at once. Variables in the environment count more than it.",
    "Exit code of test: 0 when the endpoint took the credential, 1 otherwise.",
  ],
  options: {
    ...DATA_DIR_OPTION,
    "base-url": { type: "string", value: "URL", help: "address without /v1; default: https://api.anthropic.com" },
    "auth-token": { type: "boolean", help: "what is read is a bearer token, not an API key" },
    key: { type: "boolean", negated: true, help: "the endpoint at --base-url wants no credential" },
    json: { type: "boolean", help: "print one JSON object" },
  },
  positionals: { min: 1, max: 1 },
  run: async (context, args) => {
    const action = args.positionals[0] ?? "";
    if (!ACTIONS.includes(action)) throw new UsageError(`longhaul model takes one of ${ACTIONS.join(", ")}.`);
    if (action !== "set") refuseSetOptions(args);
    const { terminal, env } = context;
    const client = await runningEngine(env, args);
    const json = args.flag("json") === true;
    if (action === "test") return shownTest(terminal, await client.testModel(), json);
    const settings =
      action === "set"
        ? await client.setModel(await changeOf(context, args))
        : action === "clear"
          ? await client.clearModel()
          : await client.model();
    terminal.out(json ? `${JSON.stringify(settings)}\n` : settingsText(settings));
    return EXIT.done;
  },
};

function refuseSetOptions(args: Arguments): void {
  const given = ["base-url", "auth-token", "key"].find(
    (name) => args.text(name) !== undefined || args.flag(name) !== undefined,
  );
  if (given !== undefined) throw new UsageError(`--${given} belongs to \`longhaul model set\`.`);
}

async function changeOf({ terminal }: Context, args: Arguments): Promise<ModelChange> {
  const base_url = args.text("base-url") ?? null;
  const token = args.flag("auth-token") === true;
  if (args.flag("key") === false) {
    if (base_url === null)
      throw new UsageError("--no-key needs --base-url: the address of the endpoint that wants none.");
    if (token) throw new UsageError("--no-key and --auth-token contradict each other.");
    return { base_url };
  }
  const secret = await readSecret(terminal, token ? "Bearer token: " : "API key: ");
  if (secret === "") throw new UsageError("No key came from stdin. For an endpoint that wants none, add --no-key.");
  return token ? { base_url, auth_token: secret } : { base_url, api_key: secret };
}

const CREDENTIALS = {
  api_key: "an API key",
  auth_token: "a bearer token",
  api_key_and_auth_token: "an API key and a bearer token",
};

function settingsText({ source, base_url, credential, vault, check, keychain }: ModelSettings): string {
  const words = credential === null ? "no credential" : CREDENTIALS[credential];
  const lines = [
    source === "demo" ? "in use    the offline demo" : `in use    ${base_url}, with ${words} from the ${source}`,
    ...(source === "demo" ? [] : [`state     ${check.summary}`]),
    ...(check.advice === null ? [] : [`          ${check.advice}`]),
    ...(vault !== null && source === "environment" ? [`vault     ${vault.base_url} (used without the variables)`] : []),
    `keychain  ${keychain.summary}`,
    ...(keychain.advice === null ? [] : [`          ${keychain.advice}`]),
  ];
  return `${lines.join("\n")}\n`;
}

function shownTest(terminal: Terminal, test: ModelTest, json: boolean): number {
  const advice = test.advice === null ? "" : `${test.advice}\n`;
  terminal.out(json ? `${JSON.stringify(test)}\n` : `${test.summary}\n${advice}`);
  return test.outcome === "accepted" ? EXIT.done : EXIT.failed;
}
