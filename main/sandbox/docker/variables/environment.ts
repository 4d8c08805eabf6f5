/** What the agent's shell is told of variables: placeholders, and where the authority is that programs must trust. Pure. */
import { createHash } from "node:crypto";
import type { SandboxVariable } from "../../port.ts";
import { SCRIPTS_DIR } from "../../runner/files.ts";

/** The authority's certificate alone, for programs that add it to what they trust. */
export const AUTHORITY_FILE = `${SCRIPTS_DIR}/authority.pem`;
/** The image's roots and the authority, for programs that trust one file. */
export const BUNDLE_FILE = `${SCRIPTS_DIR}/authorities.pem`;

/** Names without which the shell, or the runner around it, would not work as it must. */
const KEPT = /^(PATH|HOME|PWD|OLDPWD|IFS|SHELL|ENV|UID|EUID|PPID|SHELLOPTS|BASH.*|LD_.*|LONGHAUL_.*)$/;

/** Placeholders by name, but for names that the sandbox itself needs. */
export function placeholders(variables: readonly SandboxVariable[]): Record<string, string> {
  const kept = variables.filter(({ name }) => !KEPT.test(name));
  return Object.fromEntries(kept.map(({ name, placeholder }) => [name, placeholder]));
}

/** Names that {@link placeholders} leaves out. */
export function unusableNames(variables: readonly SandboxVariable[]): string[] {
  return variables.map(({ name }) => name).filter((name) => KEPT.test(name));
}

/** By which variable each kind of program is told what to trust. */
const BUNDLE_VARIABLES = [
  // OpenSSL and what is built on it, Go, Rust's native roots, Ruby
  "SSL_CERT_FILE",
  "CURL_CA_BUNDLE",
  // Python: requests, pip, httplib2
  "REQUESTS_CA_BUNDLE",
  "PIP_CERT",
  "HTTPLIB2_CA_CERTS",
  "GIT_SSL_CAINFO",
  "CARGO_HTTP_CAINFO",
  "AWS_CA_BUNDLE",
  "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
  "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
  "NIX_SSL_CERT_FILE",
];
const AUTHORITY_VARIABLES = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"];

function trustVariables(): Record<string, string> {
  return Object.fromEntries([
    ...BUNDLE_VARIABLES.map((name) => [name, BUNDLE_FILE]),
    ...AUTHORITY_VARIABLES.map((name) => [name, AUTHORITY_FILE]),
  ]);
}

/**
 * Text of the file that the agent's shell reads when its first line differs from what was read last (`shells.ts`).
 * @param network further variables of the sandbox's network
 * @param proxy address that a proxy variable of an earlier text may hold and that leads nowhere now; null when it does lead on
 */
export function shellText(
  variables: readonly SandboxVariable[],
  network: Readonly<Record<string, string>>,
  proxy: string | null,
): string {
  // The way out and the trust in it win over a credential that somebody gave such a name.
  const all = { ...placeholders(variables), ...(variables.length === 0 ? {} : trustVariables()), ...network };
  const exports = Object.entries(all).map(([name, value]) => `export ${name}='${value}'`);
  const undone = proxy === null ? [] : ["HTTPS_PROXY", "https_proxy"].map((name) => unsetIf(name, proxy));
  const lines = [...undone, ...exports];
  const version = createHash("sha256").update(lines.join("\n")).digest("hex").slice(0, 16);
  return [`: ${version}`, ...lines, `export LONGHAUL_VARIABLES='${version}'`, ""].join("\n");
}

const unsetIf = (name: string, value: string): string => `if [ "\${${name}-}" = '${value}' ]; then unset ${name}; fi`;
