/** `/longhaul/v1/sessions/{id}/changes`: what the agent changed, and bringing it back to the person's repository. */
import { ApiError, invalid } from "../../contract/errors.ts";
import type { BroughtBack } from "../../contract/local_api.ts";
import { bringBackBody } from "../../contract/schemas/local.ts";
import { BringBackRefused, ChangesUnavailable, SandboxLost } from "../../sandbox/port.ts";
import { readOptionalBody } from "../http/body.ts";
import { type Api, type Deps, param } from "../http/context.ts";
import { existingSession } from "../v1/sessions/session.ts";

export function mountChanges(api: Api, deps: Deps): void {
  api.get("/longhaul/v1/sessions/:id/changes", async (c) => {
    const { id } = await existingSession(deps, param(c, "id"));
    return c.json({ data: await inWords(() => deps.changes(id)) });
  });

  api.post("/longhaul/v1/sessions/:id/changes/bring_back", async (c) => {
    const id = param(c, "id");
    const { mount_path } = await readOptionalBody(c, bringBackBody);
    const data = await deps.serial.run(`bring back ${id}`, async () => {
      const { fold } = await existingSession(deps, id);
      const repositories = fold.resources.filter(
        (resource) => resource.type === "local_repository" || resource.type === "github_repository",
      );
      const known = repositories.map((resource) => resource.mount_path);
      if (known.length === 0) invalid(`Session ${id} has no repository: there is nothing to bring back.`);
      if (mount_path !== undefined && !known.includes(mount_path)) {
        invalid(`\`mount_path\` must be that of a repository of this session: ${known.join(", ")}.`);
      }
      // Those that were cloned inside have no repository here; they are named only when there is nothing else.
      const local = repositories.filter(({ type }) => type === "local_repository").map((one) => one.mount_path);
      const wanted = mount_path !== undefined ? [mount_path] : local.length > 0 ? local : known;
      return inWords(() => bringBackEach(deps, id, wanted));
    });
    return c.json({ data });
  });
}

/** One repository after the other, so that what stands in the way of one does not keep back the rest. */
async function bringBackEach(deps: Deps, id: string, mountPaths: readonly string[]): Promise<BroughtBack[]> {
  const done: BroughtBack[] = [];
  const refused: string[] = [];
  for (const mountPath of mountPaths) {
    try {
      for (const one of await deps.bringBack(id, mountPath)) {
        const { mount_path, path, branch, commit } = one;
        await deps.ledger.emitEvent(id, { type: "longhaul.changes_brought_back", mount_path, path, branch, commit });
        done.push(one);
      }
    } catch (error) {
      if (!(error instanceof BringBackRefused)) throw error;
      refused.push(error.message);
    }
  }
  if (refused.length > 0) {
    const branches = done.map(({ path, branch }) => `${path} (branch ${branch})`).join(", ");
    throw new BringBackRefused([...refused, ...(branches === "" ? [] : [`Brought back: ${branches}.`])].join(" "));
  }
  if (done.length > 0) return done;
  throw new BringBackRefused(
    `There is nothing to bring back: ${mountPaths.join(", ")} ${mountPaths.length === 1 ? "is" : "are"} as it entered the sandbox, or did not enter it.`,
  );
}

/** @throws ApiError 409 for what stands in the way on this machine, with its own words */
export async function inWords<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const told =
      error instanceof BringBackRefused || error instanceof ChangesUnavailable || error instanceof SandboxLost;
    throw told ? new ApiError("conflict_error", error.message) : error;
  }
}
