/** `longhaul vault`: what seals stored credentials, and a new key for all of them. */
import { UsageError } from "../../config.ts";
import type { Rotation, RotationRequest, VaultStatus } from "../../contract/vaults/settings.ts";
import { plural } from "../account/words.ts";
import { type Command, type Context, DATA_DIR_OPTION, EXIT } from "../command.ts";
import { readSecret, runningEngine } from "./engine_client.ts";

export const vault: Command = {
  name: "vault",
  usage: "status|rotate [--to keychain|passphrase] [--data-dir DIR] [--json]",
  summary: "Show what seals stored credentials, or seal them all with a new key",
  details: [
    "rotate makes a new key and seals every stored credential with it in one step; then the old key is removed.",
    "With --to it changes between the keychain and a passphrase. A new passphrase is read from stdin, without an echo",
    "where that is a terminal; set LONGHAUL_VAULT_PASSPHRASE to it from the next start on.",
  ],
  options: {
    ...DATA_DIR_OPTION,
    to: { type: "string", value: "WHERE", help: "keychain or passphrase; default: what it is now" },
    json: { type: "boolean", help: "print one JSON object" },
  },
  positionals: { min: 1, max: 1 },
  run: async (context, args) => {
    const { terminal, env } = context;
    const action = args.positionals[0] ?? "";
    if (action !== "status" && action !== "rotate") throw new UsageError("longhaul vault takes status or rotate.");
    const to = whereTo(args.text("to"));
    if (action === "status" && to !== null) throw new UsageError("--to belongs to `longhaul vault rotate`.");
    const client = await runningEngine(env, args);
    const status = await client.vault();
    const json = args.flag("json") === true;
    if (action === "status") {
      terminal.out(json ? `${JSON.stringify(status)}\n` : statusText(status));
      return EXIT.done;
    }
    const rotation = await client.rotateVault(await requestOf(context, to ?? status.sealed_with));
    terminal.out(json ? `${JSON.stringify(rotation)}\n` : rotationText(rotation, status));
    return EXIT.done;
  },
};

function whereTo(given: string | undefined): (RotationRequest["to"] & string) | null {
  if (given === undefined || given === "keychain" || given === "passphrase") return given ?? null;
  throw new UsageError("--to: use keychain or passphrase.");
}

async function requestOf({ terminal }: Context, to: "keychain" | "passphrase"): Promise<RotationRequest> {
  if (to === "keychain") return { to };
  const passphrase = await readSecret(terminal, "New passphrase: ");
  if (passphrase === "") throw new UsageError("No new passphrase came from stdin. Nothing was changed.");
  if (terminal.typed && (await readSecret(terminal, "Once more: ")) !== passphrase) {
    throw new UsageError("The two differ. Nothing was changed.");
  }
  return { to, passphrase };
}

function statusText({ sealed_with, values, keys, keys_to_remove, keychain }: VaultStatus): string {
  const lines = [
    `sealed    ${plural(values, "value")}; new ones with ${sealed_with === "keychain" ? "a key in the keychain" : "the passphrase"}`,
    ...keys.map((key) => `key       ${key.source}, ${plural(key.values, "value")}`),
    ...(keys_to_remove > 0 ? [`old keys  ${keys_to_remove} still in the keychain; removed at the next use`] : []),
    `keychain  ${keychain.summary}`,
    ...(keychain.advice === null ? [] : [`          ${keychain.advice}`]),
  ];
  return `${lines.join("\n")}\n`;
}

function rotationText({ resealed, left, sealed_with, keys_to_remove }: Rotation, before: VaultStatus): string {
  const lines = [`${plural(resealed, "value")} sealed with a new key (${sealed_with}).`];
  if (left > 0) lines.push(`${plural(left, "value")} could not be opened, because the key is lost: left as before.`);
  if (keys_to_remove > 0) lines.push("The keychain did not let go of the old key yet: it is removed at the next use.");
  if (sealed_with === "passphrase") {
    lines.push("Set LONGHAUL_VAULT_PASSPHRASE to the new passphrase before the next start.");
  } else if (before.sealed_with === "passphrase") {
    lines.push("Unset LONGHAUL_VAULT_PASSPHRASE before the next start.");
  }
  return `${lines.join("\n")}\n`;
}
