/** Takes files out of an embedded sandbox that are attached to its session no longer. */
import { realpath, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ProvisionRequest } from "../../port.ts";
import { uploadPath } from "../../resources/mount.ts";
import { type SandboxLayout, safeName } from "../layout.ts";
import { isPlaced } from "../provision.ts";

/** What cannot be removed is a step with an error; the next provisioning tries again. */
export async function removeDetached(layout: SandboxLayout, request: ProvisionRequest): Promise<void> {
  for (const resource of request.detached ?? []) {
    if (!(await isPlaced(layout, resource.id))) continue;
    const started = performance.now();
    let error: string | null = null;
    try {
      const target = join(await realpath(layout.root), uploadPath(resource));
      // A link that the agent put on the way would lead to another file.
      const folder = await realpath(dirname(target)).catch(() => null);
      if (folder === dirname(target)) await rm(target, { force: true });
      await rm(join(layout.markers, safeName(resource.id)), { force: true });
    } catch (reason) {
      error = reason instanceof Error ? reason.message : String(reason);
    }
    const duration_ms = Math.round(performance.now() - started);
    request.onStep({ step: `remove ${uploadPath(resource)}`, duration_ms, error });
  }
}
