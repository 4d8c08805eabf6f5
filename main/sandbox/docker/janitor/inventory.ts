/** Everything on the engine that carries our labels, and whose it is. Lists; changes nothing. */
import type Docker from "dockerode";
import { engineCall, LOOK_MS } from "../container/engine_call.ts";
import { LABELS } from "../container/spec.ts";
import { PREPARING } from "../image/container_run.ts";
import { containerName, unfinishedName } from "../life/find.ts";
import { type Fate, fateOf, noteName } from "./install.ts";

export type Standing =
  /** Of a session of this install that can resume, or used by all of its sessions. */
  | "live"
  /** Of a session of this install that was deleted. */
  | "deleted_session"
  /** Of this install, begun by a process that is gone. */
  | "leftover"
  /** Of an install whose data directory is gone for certain. */
  | "dead_install"
  | "other_install"
  /** Of an install of which nothing can be known from here. */
  | "unknown"
  /** Carries a label of ours, but is not what we make: somebody started it from one of our images. */
  | "foreign";

/** What may be removed without asking anybody. */
export const CERTAIN: ReadonlySet<Standing> = new Set(["deleted_session", "leftover", "dead_install"]);

export interface Remnant {
  kind: "container" | "checkpoint" | "image" | "network" | "note";
  id: string;
  name: string;
  install: string;
  session: string | null;
  /** ISO 8601. */
  created_at: string;
  /** Of containers: "running", "exited", …; null for the rest. */
  state: string | null;
  /** Bytes, of images; null for the rest. */
  size_bytes: number | null;
  standing: Standing;
  /** One line for people. */
  why: string;
}

/** The install from which one looks. */
export interface OwnInstall {
  id: string;
  hasSession: (sessionId: string) => Promise<boolean>;
  /** Milliseconds since the epoch: what was begun before belongs to no process of this install that runs now. */
  begun_before: number;
}

interface Labelled {
  kind: Remnant["kind"];
  id: string;
  name: string;
  labels: Record<string, string>;
  created: number;
  state: string | null;
  size: number | null;
  /** Of containers: the network mode. */
  network: string;
}

/** Label of the short-lived containers that close a sandbox's network. */
const HELPER = "longhaul.helper";
const CHECKPOINTS = /(^|\/)longhaul-checkpoint:/;
const IMAGES = /(^|\/)longhaul-[a-z]+:/;
/** The engine's clock may differ from ours: it may be another machine. */
const CLOCK_MS = 10 * 60_000;

/** @param own null when nothing is known of an install here: everything is another's then. Rejects with SandboxLost. */
export async function takeInventory(docker: Docker, own: OwnInstall | null): Promise<Remnant[]> {
  // Listed before sessions are asked for: a session always exists before what is made for it.
  const { objects, notes } = await listLabelled(docker);
  const fates = new Map<string, Fate>();
  const remnants: Remnant[] = [];
  for (const object of objects) {
    const install = object.labels[LABELS.install] ?? "";
    let judged: [Standing, string];
    if (!isOurMake(object)) judged = ["foreign", "was not made by Longhaul"];
    else if (install === own?.id) judged = await ownStanding(object, own);
    else {
      const fate = fates.get(install) ?? fateOf(install, notes.get(install) ?? null);
      fates.set(install, fate);
      judged = [STANDING_BY_FATE[fate.state], fate.why];
    }
    remnants.push({
      kind: object.kind,
      id: object.id,
      name: object.name,
      install,
      session: object.labels[LABELS.session] ?? null,
      created_at: new Date(object.created).toISOString(),
      state: object.state,
      size_bytes: object.size,
      standing: judged[0],
      why: judged[1],
    });
  }
  return remnants;
}

const STANDING_BY_FATE: Record<Fate["state"], Standing> = {
  alive: "other_install",
  dead: "dead_install",
  unknown: "unknown",
};

/**
 * Labels are inherited: a container that somebody starts from one of our images carries them, and so does an image that
 * is built on one. Names are not inherited.
 */
function isOurMake(object: Labelled): boolean {
  const { kind, name, labels } = object;
  const install = labels[LABELS.install] ?? "";
  const session = labels[LABELS.session];
  switch (kind) {
    case "container":
      if (isShortLived(object) || isUnfinished(object)) return true;
      return session !== undefined && name === containerName({ install, session });
    case "checkpoint":
      return CHECKPOINTS.test(name);
    case "image":
      return IMAGES.test(name);
    case "network":
      return name.startsWith("longhaul-");
    case "note":
      return name === noteName(install);
  }
}

/** Prepares an image, or closes the network of a sandbox that it shares. */
function isShortLived({ name, labels, network }: Labelled): boolean {
  return name.startsWith(PREPARING) || (labels[HELPER] !== undefined && network.startsWith("container:"));
}

/** A session's container that is being made: nothing of the agent's is in it yet. */
function isUnfinished({ kind, name, labels }: Labelled): boolean {
  const session = labels[LABELS.session];
  const install = labels[LABELS.install] ?? "";
  return kind === "container" && session !== undefined && name === unfinishedName({ install, session });
}

async function ownStanding(object: Labelled, own: OwnInstall): Promise<[Standing, string]> {
  const session = object.labels[LABELS.session];
  if (object.kind === "container" && isShortLived(object)) {
    if (object.created < own.begun_before - CLOCK_MS) return ["leftover", "its process ended before it was done"];
    return ["live", "prepares a sandbox"];
  }
  if (isUnfinished(object) && object.created < own.begun_before - CLOCK_MS) {
    return ["leftover", "was being made when its process ended"];
  }
  if (object.kind === "image" || session === undefined) return ["live", "is used by all sessions of this install"];
  if (await own.hasSession(session)) return ["live", "belongs to a session that can resume"];
  return ["deleted_session", "its session was deleted"];
}

async function listLabelled(
  docker: Docker,
): Promise<{ objects: Labelled[]; notes: Map<string, Record<string, string>> }> {
  const filters = JSON.stringify({ label: [LABELS.install] });
  const list = <T>(what: string, ask: (abortSignal: AbortSignal) => Promise<T>): Promise<T> =>
    engineCall(docker, `list ${what}`, LOOK_MS, ask);
  const [containers, images, networks, { Volumes }] = await Promise.all([
    list("containers", (abortSignal) => docker.listContainers({ all: true, filters, abortSignal })),
    list("images", (abortSignal) => docker.listImages({ filters, abortSignal })),
    list("networks", (abortSignal) => docker.listNetworks({ filters, abortSignal })),
    list("volumes", (abortSignal) => docker.listVolumes({ filters, abortSignal } as Docker.VolumeListOptions)),
  ]);
  const objects: Labelled[] = containers.map((container) => ({
    kind: "container",
    id: container.Id,
    name: (container.Names[0] ?? "").replace(/^\//, ""),
    labels: container.Labels,
    created: container.Created * 1000,
    state: container.State,
    size: null,
    network: container.HostConfig.NetworkMode,
  }));
  for (const image of images) {
    const labels = image.Labels ?? {};
    const tags = (image.RepoTags ?? []).filter((tag) => tag !== "<none>:<none>");
    // An image that was only begun, or whose name another one has taken, has no name.
    for (const name of tags.length === 0 ? [image.Id] : tags) {
      const kind = CHECKPOINTS.test(name) ? "checkpoint" : "image";
      objects.push({
        kind,
        id: image.Id,
        name,
        labels,
        created: image.Created * 1000,
        state: null,
        size: image.Size,
        network: "",
      });
    }
  }
  for (const { Id: id, Name: name, Labels: labels = {}, Created } of networks) {
    objects.push({
      kind: "network",
      id,
      name,
      labels,
      created: Date.parse(Created),
      state: null,
      size: null,
      network: "",
    });
  }
  const notes = new Map<string, Record<string, string>>();
  for (const { Name: name, Labels: labels, ...rest } of Volumes ?? []) {
    const created = Date.parse((rest as { CreatedAt?: string }).CreatedAt ?? "") || 0;
    const install = labels?.[LABELS.install] ?? "";
    if (name === noteName(install)) notes.set(install, labels);
    objects.push({ kind: "note", id: name, name, labels: labels ?? {}, created, state: null, size: null, network: "" });
  }
  return { objects, notes };
}
