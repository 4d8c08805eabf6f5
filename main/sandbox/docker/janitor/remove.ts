/** Removes what an inventory found to be nobody's any more. */
import type Docker from "dockerode";
import { engineCall, engineErrorOf, WORK_MS } from "../container/engine_call.ts";
import { engineFault } from "../failures.ts";
import { CERTAIN, type Remnant, type Standing } from "./inventory.ts";

export interface Removal {
  removed: Remnant[];
  /** What could not be removed, with the engine's reason. */
  failed: { remnant: Remnant; why: string }[];
}

/** Containers hold images and networks in use; the note goes last, because it is what proves the rest. */
const ORDER: readonly Remnant["kind"][] = ["container", "network", "checkpoint", "image", "note"];

/**
 * Removes the remnants of the given standings one after the other, and goes on when one cannot be removed. One that is
 * gone by then counts as removed.
 */
export async function removeRemnants(
  docker: Docker,
  remnants: readonly Remnant[],
  standings: ReadonlySet<Standing> = CERTAIN,
): Promise<Removal> {
  const doomed = remnants.filter(({ standing }) => standings.has(standing));
  doomed.sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  const removal: Removal = { removed: [], failed: [] };
  const kept = new Set<string>();
  for (const remnant of doomed) {
    // Without its note an install would be unknown for ever, and so would what could not be removed now.
    if (remnant.kind === "note" && kept.has(remnant.install)) continue;
    try {
      await engineCall(docker, `remove ${remnant.name}`, WORK_MS, (abortSignal) =>
        remove(docker, remnant, abortSignal),
      );
      removal.removed.push(remnant);
    } catch (error) {
      const fault = engineErrorOf(error)?.fault ?? engineFault(error);
      if (fault.kind === "being_removed" || fault.status === 404) {
        removal.removed.push(remnant);
        continue;
      }
      kept.add(remnant.install);
      removal.failed.push({ remnant, why: fault.detail });
    }
  }
  return removal;
}

function remove(docker: Docker, { kind, id, name }: Remnant, abortSignal: AbortSignal): Promise<unknown> {
  switch (kind) {
    case "container":
      return docker.getContainer(id).remove({ force: true, v: true, abortSignal });
    case "network":
      return docker.getNetwork(id).remove({ abortSignal });
    case "checkpoint":
    case "image":
      // By its name and without force: the layers stay as long as anything else is made of them.
      return docker.getImage(name).remove({ abortSignal });
    case "note":
      return docker.getVolume(name).remove({ abortSignal });
  }
}
