/** One candidate → a connection to its engine, or in words why there is none. */
import { Agent } from "node:http";
import { Agent as TlsAgent } from "node:https";
import type Docker from "dockerode";
import { SandboxLost } from "../../port.ts";
import { engineFault } from "../failures.ts";
import { BadAddress, type EngineAddress } from "./address.ts";
import { type EngineFacts, NotUsable, OLDEST_API, probe } from "./probe.ts";

export interface Engine extends EngineFacts {
  docker: Docker;
  /** As it may be shown. */
  address: string;
  at: EngineAddress;
}

export type Unavailability =
  | "none"
  | "permission"
  | "too_old"
  | "windows_containers"
  | "silent"
  | "refused"
  | "not_docker"
  | "tls"
  | "misconfigured"
  | "unreachable";

/** No container engine can be used; `message` says why, what is safe and what to do. */
export class EngineUnavailable extends SandboxLost {
  readonly reason: Unavailability;
  /** One line without advice. */
  readonly summary: string;
  readonly advice: string;

  constructor(reason: Unavailability, summary: string, advice: string) {
    const next = advice === "" ? WITHOUT : `${advice} ${WITHOUT}`;
    super(`${summary} Nothing was started or changed. ${next}`);
    this.reason = reason;
    this.summary = summary;
    this.advice = next;
  }
}

export const WITHOUT =
  "Without one the embedded sandbox works: LONGHAUL_SANDBOX=embedded, or `longhaul.sandbox: embedded` in the environment's metadata.";

/** Milliseconds in which an engine must say what it is: a busy one takes tens, one that is starting answers late or never. */
export const CONNECT_MS = 5000;

/** Rejects with {@link EngineUnavailable}. */
export async function connectEngine(at: EngineAddress, limitMs: number = CONNECT_MS): Promise<Engine> {
  try {
    const facts = await probe(at, limitMs);
    return { ...facts, docker: await client(at, facts.api), address: at.shown, at };
  } catch (error) {
    throw unavailable(error, at.shown, limitMs);
  }
}

/** Loaded at first use: an engine process that never needs containers pays nothing for the client. */
async function client(at: EngineAddress, api: string): Promise<Docker> {
  const { default: Dockerode } = await import("dockerode");
  const tls = at.tls?.() ?? null;
  // Everything is said: what is left out, the client takes from DOCKER_* variables by rules of its own.
  const docker = new Dockerode({
    socketPath: at.socket ?? undefined,
    host: at.socket === null ? at.host : undefined,
    port: at.socket === null ? at.port : undefined,
    protocol: tls === null ? "http" : "https",
    ca: tls?.ca ?? undefined,
    cert: tls?.cert ?? undefined,
    key: tls?.key ?? undefined,
    timeout: undefined,
    version: `v${api}`,
  });
  // A connection that was kept open would be dead after a restart of the engine, and the next call fail for nothing.
  const agent = tls === null ? new Agent() : new TlsAgent({ rejectUnauthorized: tls.verify });
  Object.assign(docker.modem, { agent, pathPrefix: "/" });
  return docker;
}

function unavailable(error: unknown, where: string, limitMs: number): EngineUnavailable {
  if (error instanceof BadAddress) return new EngineUnavailable("misconfigured", error.message, "");
  if (error instanceof NotUsable) {
    const summary = `The container engine at ${where} cannot be used: ${error.message}.`;
    return new EngineUnavailable(error.reason, summary, UNUSABLE[error.reason]);
  }
  const { kind, detail } = engineFault(error);
  switch (kind) {
    case "no_permission":
      return new EngineUnavailable(
        "permission",
        `This user may not use the container engine's socket (${where}).`,
        'Add the user to the group "docker" (`sudo usermod -aG docker $USER`) and log in again, or set up a rootless engine.',
      );
    case "timeout":
      return new EngineUnavailable(
        "silent",
        `The container engine at ${where} does not answer (waited ${limitMs / 1000} s).`,
        "It may be starting: try again in a moment, and restart it when that does not help.",
      );
    case "tls":
      return new EngineUnavailable(
        "tls",
        `The container engine at ${where} could not be reached with TLS (${detail}).`,
        "Check DOCKER_HOST, DOCKER_TLS_VERIFY and the certificates in DOCKER_CERT_PATH.",
      );
    default:
      return new EngineUnavailable(
        "unreachable",
        `No container engine answers at ${where} (${detail}).`,
        "Start it (Docker Desktop, Colima, OrbStack or Rancher Desktop by its app; on Linux `sudo systemctl start docker`).",
      );
  }
}

const UNUSABLE: Record<NotUsable["reason"], string> = {
  not_docker: "Point DOCKER_HOST at the engine's API, or unset it.",
  refused: "Ask whoever runs it for access, or point DOCKER_HOST at another engine.",
  too_old: `Update it to Docker 19.03, Podman 3 or newer (API ${OLDEST_API}).`,
  windows_containers: "Switch Docker Desktop to Linux containers.",
};
