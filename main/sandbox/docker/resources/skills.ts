/** Puts the files of skills into a container, each skill once. */
import { posix } from "node:path";
import type { SkillFile } from "../../../contract/skills/session_skills.ts";
import { type ProvisionRequest, SandboxLost, type SkillMount } from "../../port.ts";
import { folderName } from "../../resources/history/store.ts";
import { megabytes } from "../../resources/mount.ts";
import type { Container } from "../ports.ts";
import { AGENT_ID, markerFile, readMarkers, runScript, stateFolders, type TarFile, tarOf } from "./inside.ts";
import { CLEAR } from "./scripts.ts";

/** Those of its arguments that exist, a line each. */
const TAKEN_PATHS = `for path; do
  if [ -e "$path" ] || [ -L "$path" ]; then printf '%s\\n' "$path"; fi
done`;

/**
 * A skill that cannot be put in place is a step with an error: the session goes on, and the next provisioning tries
 * again. Rejects with SandboxLost when the container is gone.
 */
export async function placeSkills(container: Container, request: Pick<ProvisionRequest, "skills" | "onStep">) {
  const { skills = [], onStep } = request;
  if (skills.length === 0) return;
  const markers = await readMarkers(container);
  const missing = skills.filter((skill) => markers.get(folderName(skill.id))?.state !== "complete");
  if (missing.length === 0) return;
  for (const skill of missing) {
    // Only a half-done placing of this skill may be cleared away; anything else there is somebody's work.
    const half = markers.get(folderName(skill.id))?.state === "placing";
    if (half) await runScript(container, CLEAR, [skill.path, ""]);
  }
  const paths = missing.map((skill) => skill.path);
  const taken = (await runScript(container, TAKEN_PATHS, paths)).stdout.toString().split("\n");
  for (const skill of missing) {
    const started = performance.now();
    const report = (step: string, error: string | null): void =>
      onStep({ step, duration_ms: Math.round(performance.now() - started), error });
    try {
      if (taken.includes(skill.path)) throw new Error(`${skill.path} is taken.`);
      report(await place(container, skill), null);
    } catch (error) {
      if (error instanceof SandboxLost) throw error;
      report(`add the skill ${skill.name}`, error instanceof Error ? error.message : String(error));
    }
  }
}

async function place(container: Container, skill: SkillMount): Promise<string> {
  const files = await skill.read();
  const name = folderName(skill.id);
  const placing = [...stateFolders(), markerFile(name, { state: "placing" })];
  await container.putTar(
    "/",
    tarOf([...placing, ...treeOf(skill.path, files), markerFile(name, { state: "complete" })]),
  );
  const size = files.reduce((sum, file) => sum + file.bytes.length, 0);
  return `add the skill ${skill.name} at ${skill.path} (${files.length} files, ${megabytes(size)})`;
}

/** Folders are entries of their own: one that an archive only implies would be root's. */
function treeOf(path: string, files: readonly SkillFile[]): TarFile[] {
  const entries: TarFile[] = [];
  const folders = new Set<string>();
  const addFolder = (folder: string): void => {
    if (folders.has(folder)) return;
    folders.add(folder);
    if (folder !== posix.dirname(path)) addFolder(posix.dirname(folder));
    entries.push({ path: folder, uid: AGENT_ID, mode: 0o755, content: "folder" });
  };
  for (const { path: relative, executable, bytes } of files) {
    const file = posix.join(path, relative);
    addFolder(posix.dirname(file));
    entries.push({ path: file, uid: AGENT_ID, mode: executable ? 0o755 : 0o644, content: bytes });
  }
  return entries;
}
