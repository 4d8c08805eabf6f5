/**
 * The install: one data directory, named by a random id on everything that it makes on a container engine. The engine
 * also keeps a note of where the data directory is (an empty volume with labels), so that another install can tell for
 * certain when it is gone.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, realpathSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type Docker from "dockerode";
import { z } from "zod";
import { engineCall, LOOK_MS } from "../container/engine_call.ts";
import { LABELS } from "../container/spec.ts";

export interface Install {
  id: string;
  /** Absolute, without symbolic links. */
  data_dir: string;
}

const FILE = "install.json";
const File = z.object({ id: z.string().regex(/^[0-9a-z]{8,64}$/), data_dir: z.string() });

/** Labels of the note. */
export const NOTE = { data_dir: "longhaul.data_dir", parent: "longhaul.data_dir_parent" } as const;

/** The install of a data directory without making anything; null when it has never used a container engine. */
export function readInstall(dataDir: string): Install | null {
  const found = readFile(dataDir);
  return found === null ? null : { id: found.id, data_dir: realpathSync(dataDir) };
}

/**
 * The install of a data directory, which must exist; named on first use. A copy of a data directory gets a name of its
 * own: two engines that go by one name would take each other's sandboxes for their own.
 */
export function openInstall(dataDir: string): Install {
  const data_dir = realpathSync(dataDir);
  const known = readFile(data_dir);
  if (known !== null && known.data_dir === data_dir) return { id: known.id, data_dir };
  const moved = known !== null && readFile(known.data_dir)?.id !== known.id;
  const install = { id: moved ? known.id : randomBytes(8).toString("hex"), data_dir };
  const fresh = join(data_dir, `${FILE}.${process.pid}.tmp`);
  writeFileSync(fresh, `${JSON.stringify(install)}\n`, { mode: 0o600 });
  renameSync(fresh, join(data_dir, FILE));
  return install;
}

function readFile(dataDir: string): z.infer<typeof File> | null {
  try {
    return File.parse(JSON.parse(readFileSync(join(dataDir, FILE), "utf8")));
  } catch {
    // Missing, unreadable or not ours: nothing that names an install.
    return null;
  }
}

export function noteName(id: string): string {
  return `longhaul-install-${id}`;
}

/** What tells the folder around the data directory from any other, also from the empty mount point it hangs on. */
function folderIdentity(path: string): string {
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  return `${ino}-${birthtimeNs}`;
}

/** Leaves the note on the engine, or renews it when the data directory was moved. */
export async function leaveNote(docker: Docker, install: Install): Promise<void> {
  const name = noteName(install.id);
  const labels = {
    [LABELS.install]: install.id,
    [NOTE.data_dir]: install.data_dir,
    [NOTE.parent]: folderIdentity(dirname(install.data_dir)),
  };
  const filters = JSON.stringify({ name: [name] });
  const { Volumes } = await engineCall(docker, "list volumes", LOOK_MS, (abortSignal) =>
    docker.listVolumes({ filters, abortSignal } as Docker.VolumeListOptions),
  );
  const old = (Volumes ?? []).find((volume) => volume.Name === name);
  if (old !== undefined) {
    const same = Object.entries(labels).every(([key, value]) => old.Labels?.[key] === value);
    if (same) return;
    await engineCall(docker, "renew the install's note", LOOK_MS, (abortSignal) =>
      docker.getVolume(name).remove({ abortSignal }),
    );
  }
  await engineCall(docker, "leave the install's note", LOOK_MS, (abortSignal) =>
    docker.createVolume({ Name: name, Labels: labels, abortSignal }),
  );
}

export interface Fate {
  state: "alive" | "dead" | "unknown";
  /** One line for people. */
  why: string;
}

/**
 * What became of another install, from the labels of its note. Dead only when the folder that held its data directory is
 * here, is the very same folder, and the data directory is not in it or was made anew. Whatever else is unknown: the note
 * may come from another machine, the disk may not be mounted, the folder may not be ours to read.
 */
export function fateOf(id: string, labels: Readonly<Record<string, string>> | null): Fate {
  const path = labels?.[NOTE.data_dir];
  const parent = labels?.[NOTE.parent];
  if (path === undefined || parent === undefined) return unknown("it left no note of where its data directory is");
  const own = readFile(path);
  if (own?.id === id) return { state: "alive", why: `its data directory is ${path}` };
  try {
    if (folderIdentity(dirname(path)) !== parent)
      return unknown(`${dirname(path)} is another folder than it was there`);
    const beside = readdirSync(dirname(path), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const moved = beside.find(({ name }) => readFile(join(dirname(path), name))?.id === id);
    if (moved !== undefined)
      return { state: "alive", why: `its data directory is ${join(dirname(path), moved.name)} now` };
  } catch {
    return unknown(`its data directory ${path} cannot be seen from here`);
  }
  if (own !== null) return { state: "dead", why: `its data directory ${path} was deleted and made anew` };
  const there = statSync(path, { throwIfNoEntry: false });
  if (there !== undefined) return unknown(`${path} is there, without the file that names it`);
  return { state: "dead", why: `its data directory ${path} was deleted` };
}

function unknown(why: string): Fate {
  return { state: "unknown", why };
}
