/** Puts into a container what variables with credentials need: their placeholders, and the authority's certificate. */
import { createHash } from "node:crypto";
import { rootCertificates } from "node:tls";
import type { ProvisionRequest } from "../../port.ts";
import { SCRIPTS_DIR, VARIABLES_FILE } from "../../runner/files.ts";
import { archive } from "../container/archive.ts";
import { step } from "../life/steps.ts";
import { unreachableCredentials } from "../network/policy.ts";
import type { SandboxNetwork } from "../network/port.ts";
import { RELAY_ADDRESS } from "../network/relay/start.ts";
import type { Container, EgressRoute } from "../ports.ts";
import { AUTHORITY_FILE, BUNDLE_FILE, shellText, unusableNames } from "./environment.ts";

/** The image has no list of authorities. */
const NO_ROOTS = 3;

/** Root must not run what the agent has put into folders of its own. */
const SYSTEM_FIRST = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH";

/**
 * Run by root. Argument: the line before the certificate in lists of the system. `roots.pem` is there when the image may
 * have no list. `SSL_CERT_FILE` is the image's own: the container's variables do not name ours.
 */
const TRUST = `
set -u
${SYSTEM_FIRST}
cd ${SCRIPTS_DIR} || exit 1
lists="/etc/ssl/certs/ca-certificates.crt /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem
/etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/ssl/cert.pem"
roots=
for list in "\${SSL_CERT_FILE-}" $lists; do
  if [ -n "$list" ] && [ -s "$list" ]; then roots=$list; break; fi
done
if [ -z "$roots" ]; then
  [ -s roots.pem ] || exit ${NO_ROOTS}
  roots=roots.pem
fi
{ cat "$roots"; echo; cat authority.pem; } > authorities.new && mv authorities.new ${BUNDLE_FILE} || exit 1
# For programs that read no variable. What cannot be written to is left as it is.
for list in $lists; do
  if [ -s "$list" ] && ! grep -qF "$1" "$list"; then { echo; echo "$1"; cat authority.pem; } >> "$list" || :; fi
done 2>/dev/null
exit 0
`;
/** Last, so that the shell never reads a part of it. */
const PUBLISH = `${SYSTEM_FIRST}; mv ${VARIABLES_FILE}.new ${VARIABLES_FILE}`;

export interface VariablesPlace {
  network: SandboxNetwork;
  egress: EgressRoute;
  /** Just made, and not from a copy: there is nothing to take back. */
  fresh: boolean;
}

/**
 * Idempotent. Nothing for a session without vaults. Rejects with SandboxLost: without the certificate every request to a
 * host of a variable would fail, and the program could not tell why.
 */
export async function placeVariables(
  container: Container,
  { variables, environment, onStep }: Pick<ProvisionRequest, "variables" | "environment" | "onStep">,
  { network, egress, fresh }: VariablesPlace,
): Promise<void> {
  if (variables === undefined || (fresh && variables.length === 0)) return;
  for (const { hosts, ...credential } of unreachableCredentials(environment.config, variables)) {
    const them = hosts.length === 1 ? "that host" : "those hosts";
    const error = `The environment's network does not allow ${hosts.join(", ")}, for which a variable has a credential. Requests to ${them} fail. Add ${them} to networking.allowed_hosts of the environment, or take it from the credential, and start a new session.`;
    onStep({ step: "compare credentials with the network", duration_ms: 0, error, credential });
  }
  const names = unusableNames(variables);
  if (names.length > 0) {
    const error = `The sandbox needs ${names.join(", ")} for itself, so no credential can have this name. Create it with another one.`;
    onStep({ step: "set variables", duration_ms: 0, error });
  }
  // It tells the broker that this sandbox trusts it now, or does no longer.
  await network.ready(container);
  const count = `${variables.length} variable${variables.length === 1 ? "" : "s"}`;
  await step(onStep, `set ${count} to placeholders`, async () => {
    if (variables.length > 0) await trust(container, await egress.certificate());
    const leads = "HTTPS_PROXY" in { ...network.env, ...network.variables };
    const text = shellText(variables, network.variables, leads ? null : RELAY_ADDRESS);
    await put(container, { [`${VARIABLES_FILE}.new`]: text });
    await run(container, PUBLISH, []);
  });
}

async function trust(container: Container, certificate: string): Promise<void> {
  const mark = `# Longhaul ${createHash("sha256").update(certificate).digest("hex")}`;
  await put(container, { [AUTHORITY_FILE]: certificate });
  if ((await run(container, TRUST, [mark], [0, NO_ROOTS])) === 0) return;
  // Programs that bring their own list would find only ours in the one that they are told of.
  await put(container, { [`${SCRIPTS_DIR}/roots.pem`]: rootCertificates.join("\n") });
  await run(container, TRUST, [mark]);
}

async function put(container: Container, files: Record<string, string>): Promise<void> {
  const entries = Object.entries(files).map(([path, content]) => ({ path, content, mode: 0o444, uid: 0, gid: 0 }));
  await container.putTar("/", await archive(entries));
}

async function run(container: Container, script: string, args: readonly string[], fine = [0]): Promise<number> {
  const argv = ["/bin/sh", "-c", script, "longhaul", ...args];
  const { exitCode, stderr } = await container.exec(argv, { user: "root" });
  if (fine.includes(exitCode)) return exitCode;
  throw new Error(`The container did not take them (exit status ${exitCode}). ${stderr.trim().slice(-500)}`.trim());
}
