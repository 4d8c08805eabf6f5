/** Files that the agent left under the outputs folder of a container, running or stopped. */
import type { Readable } from "node:stream";
import type { OutputFile } from "../../../contract/local_api.ts";
import type { Container } from "../ports.ts";

/** At most `MAX_OUTPUTS + 1` regular files in the order of their paths. Works on a stopped container too. */
export async function listOutputs(container: Container): Promise<OutputFile[]> {
  throw new Error(`not yet: ${container.id}`);
}

/** See {@link SandboxProvider.readOutput}. Destroying the stream ends the transfer. Works on a stopped container too. */
export async function readOutput(
  container: Container,
  path: string,
): Promise<{ size: number; stream: Readable } | null> {
  throw new Error(`not yet: ${container.id} ${path}`);
}
