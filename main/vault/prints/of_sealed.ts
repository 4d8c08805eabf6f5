/** Makes prints of sealed texts as they become readable, and lets none be used before the engine has its print. */
import type { SealedWatcher } from "../sealed/watcher.ts";
import type { Prints } from "./prints.ts";

/** Fields of sealed texts that hold what nobody is to see; all of `secrets` does. */
const SECRET_FIELDS = new Set([
  "access_token",
  "refresh_token",
  "client_secret",
  "registration_access_token",
  "token",
  "secret_value",
  "api_key",
  "auth_token",
  "private_key",
  "key",
]);

export function printsOfSealed(prints: Pick<Prints, "learn" | "shared">): SealedWatcher {
  return {
    readable: (texts) => prints.learn(texts.flatMap(secretsIn)),
    beforeUse: () => prints.shared(),
  };
}

/** The secret values of a sealed text: of a record its secret fields, of anything else all of it. */
function secretsIn(text: string): string[] {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return [text];
  }
  return typeof record === "object" && record !== null ? fieldsOf(record, false) : [text];
}

function fieldsOf(record: object, secret: boolean): string[] {
  return Object.entries(record).flatMap(([name, value]: [string, unknown]) => {
    const hidden = secret || name === "secrets" || SECRET_FIELDS.has(name);
    if (typeof value === "object" && value !== null) return fieldsOf(value, hidden);
    return hidden && typeof value === "string" ? [value] : [];
  });
}
