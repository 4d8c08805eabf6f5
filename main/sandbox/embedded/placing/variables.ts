/**
 * Variables that stand for credentials, written down for the sandbox's host. The embedded sandbox has no network, so
 * placeholders is all that they ever are here.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import type { ProvisionRequest } from "../../port.ts";
import type { SandboxLayout } from "../layout.ts";

/** Names without which the shell would not work as it must. */
const KEPT = /^(PATH|HOME|PWD|OLDPWD|IFS|SHELL|UID|EUID|PPID|SHELLOPTS|BASH.*)$/;

/** New calls see them. Nothing for a session without vaults. Throws when the disk refuses. */
export function placeVariables(
  layout: SandboxLayout,
  { variables, onStep }: Pick<ProvisionRequest, "variables" | "onStep">,
): void {
  if (variables === undefined) return;
  const started = performance.now();
  const kept = variables.filter(({ name }) => !KEPT.test(name));
  const text = JSON.stringify(Object.fromEntries(kept.map(({ name, placeholder }) => [name, placeholder])));
  writeFileSync(`${layout.variablesFile}.tmp`, text, { mode: 0o600 });
  renameSync(`${layout.variablesFile}.tmp`, layout.variablesFile);
  if (variables.length === 0) return;
  const names = variables.map(({ name }) => name).join(", ");
  const step = `set ${names} to placeholders; this sandbox has no network, so no host gets their values`;
  onStep({ step, duration_ms: Math.round(performance.now() - started), error: null });
}

/** Placeholders by name; empty when there are none. */
export function variablesOf(layout: SandboxLayout): Record<string, string> {
  try {
    return JSON.parse(readFileSync(layout.variablesFile, "utf8")) as Record<string, string>;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
}
