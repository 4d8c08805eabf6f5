/** Takes files out of a container that are attached to its session no longer. */
import { type ProvisionRequest, SandboxLost } from "../../port.ts";
import { folderName } from "../../resources/history/store.ts";
import { uploadPath } from "../../resources/mount.ts";
import type { Container } from "../ports.ts";
import { markerFile, readMarkers, stateFolders, tarOf } from "./inside.ts";

/** What cannot be removed is a step with an error; the next provisioning tries again. Rejects with SandboxLost. */
export async function removeDetached(container: Container, request: Pick<ProvisionRequest, "detached" | "onStep">) {
  const { detached = [], onStep } = request;
  if (detached.length === 0) return;
  const markers = await readMarkers(container);
  for (const resource of detached) {
    const name = folderName(resource.id);
    if (markers.get(name)?.state !== "complete") continue;
    const started = performance.now();
    let error: string | null = null;
    try {
      // The folder of uploads is root's, so there are no links of the agent's on the way.
      const done = await container.exec(["rm", "-f", "--", uploadPath(resource)], { user: "root" });
      if (done.exitCode !== 0) throw new Error(done.stderr.trim());
      await container.putTar("/", tarOf([...stateFolders(), markerFile(name, { state: "failed" })]));
    } catch (reason) {
      if (reason instanceof SandboxLost) throw reason;
      error = reason instanceof Error ? reason.message : String(reason);
    }
    onStep({ step: `remove ${uploadPath(resource)}`, duration_ms: Math.round(performance.now() - started), error });
  }
}
