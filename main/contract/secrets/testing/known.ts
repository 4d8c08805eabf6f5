/** A scanner that knows the given values, as an engine does after its broker has learned them. */
import { printKey } from "../../../vault/prints/keys.ts";
import { Prints } from "../../../vault/prints/prints.ts";
import { SecretScanner } from "../scanner.ts";

const LAUNCH = "ab".repeat(32);

export function knownSecrets(...secrets: string[]): SecretScanner {
  const scanner = new SecretScanner(printKey(LAUNCH));
  scanner.add(new Prints(LAUNCH, secrets).all());
  return scanner;
}
