/**
 * Git in a sandbox finds attached repositories over the relay: their addresses are rewritten by the system's
 * configuration, so that nothing in the sandbox needs a token or another URL. Written anew at every provisioning.
 */
import { repositoryRoute, spellings } from "../../../contract/vaults/repositories.ts";
import { type ProvisionRequest, SandboxLost } from "../../port.ts";
import { RELAY_PORT } from "../network/relay/start.ts";
import type { Container, GitRoute, RoutedRepository } from "../ports.ts";
import { entriesOf, STATE_DIR, stateFolders, tarOf } from "./inside.ts";

const OURS = `${STATE_DIR}/gitconfig`;
const SYSTEM = "/etc/gitconfig";
const MAX_CONFIG_BYTES = 1024 * 1024;
const RELAY = `http://127.0.0.1:${RELAY_PORT}`;

/** Which of the request's repositories come over the route. Rejects with SandboxLost when that is not known. */
export async function routedRepositories(
  git: GitRoute | null,
  { session_id, resources }: Pick<ProvisionRequest, "session_id" | "resources">,
): Promise<readonly RoutedRepository[]> {
  if (git === null || !resources.some(({ type }) => type === "github_repository")) return [];
  try {
    return await git.repositories(session_id);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SandboxLost(`The way to the session's repositories cannot be set up: ${reason} Call again.`);
  }
}

/** Lets git of everybody in the container find the repositories; what the image's configuration says stays. */
export async function placeGitConfig(container: Container, repositories: readonly RoutedRepository[]): Promise<void> {
  const files = [...stateFolders(), { path: OURS, content: Buffer.from(gitConfig(repositories)) }];
  const before = await systemConfig(container);
  if (!before.includes(OURS)) {
    const text = `${before}${before === "" || before.endsWith("\n") ? "" : "\n"}[include]\n\tpath = ${OURS}\n`;
    files.push({ path: SYSTEM, mode: 0o644, content: Buffer.from(text) });
  }
  await container.putTar("/", tarOf(files));
}

/** Of more than one spelling with the same beginning git takes the longest. */
export function gitConfig(repositories: readonly Pick<RoutedRepository, "url">[]): string {
  const seen = new Map(repositories.map(({ url }) => [repositoryRoute(url), url]));
  const rewritten = [...seen].flatMap(([route, url]) => [
    `[url ${quoted(`${RELAY}/git/${route}`)}]`,
    ...spellings(url).map((spelling) => `\tinsteadOf = ${quoted(spelling)}`),
  ]);
  return [...rewritten, ""].join("\n");
}

const quoted = (text: string): string => `"${text.replace(/["\\]/g, "\\$&")}"`;

async function systemConfig(container: Container): Promise<string> {
  const tar = await container.getTar(SYSTEM);
  if (tar === null) return "";
  for await (const { header, body } of entriesOf(tar)) {
    if (header.type !== "file" || (header.size ?? 0) > MAX_CONFIG_BYTES) break;
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  }
  return "";
}
