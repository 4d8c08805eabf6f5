/** Puts the files of skills into an embedded sandbox, each skill once. */
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { ProvisionRequest, SkillMount } from "../../port.ts";
import { megabytes } from "../../resources/mount.ts";
import { type SandboxLayout, safeName } from "../layout.ts";
import { emptyFolder, marker, setMarker } from "../provision.ts";
import { isTaken, realFolder } from "./real_folder.ts";

/** A skill that cannot be put in place is a step with an error: the session goes on, and the next provisioning tries again. */
export async function placeSkills(layout: SandboxLayout, request: ProvisionRequest): Promise<void> {
  for (const skill of request.skills ?? []) {
    if ((await marker(layout, skill.id)) === "complete") continue;
    const started = performance.now();
    const report = (step: string, error: string | null): void =>
      request.onStep({ step, duration_ms: Math.round(performance.now() - started), error });
    try {
      report(await place(layout, skill), null);
    } catch (error) {
      report(`add the skill ${skill.name}`, error instanceof Error ? error.message : String(error));
    }
  }
}

async function place(layout: SandboxLayout, skill: SkillMount): Promise<string> {
  const files = await skill.read();
  const staged = await emptyFolder(join(layout.staging, safeName(skill.id)));
  const tree = join(staged, "tree");
  for (const { path, executable, bytes } of files) {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await writeFile(join(tree, path), bytes, { mode: executable ? 0o755 : 0o644 });
  }
  const target = join(await realFolder(layout.root, dirname(skill.path)), basename(skill.path));
  // Only a half-done placing of this skill may be cleared away; anything else there is somebody's work.
  if ((await marker(layout, skill.id)) === "placing") await rm(target, { recursive: true, force: true });
  if (await isTaken(target)) throw new Error(`${skill.path} is taken.`);
  await setMarker(layout, skill.id, "placing");
  await rename(tree, target);
  await setMarker(layout, skill.id, "complete");
  await rm(staged, { recursive: true, force: true });
  const size = files.reduce((sum, file) => sum + file.bytes.length, 0);
  return `add the skill ${skill.name} at ${skill.path} (${files.length} files, ${megabytes(size)})`;
}
