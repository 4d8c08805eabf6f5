/** Asks whoever listens at an address whether it is a container engine that can be used. Bounded in time and size. */
import { request as httpRequest, type RequestOptions } from "node:http";
import { request as httpsRequest } from "node:https";
import { z } from "zod";
import type { EngineAddress, TlsMaterial } from "./address.ts";

/** Oldest API that has all that is used here (Docker 19.03, Podman 3). */
export const OLDEST_API = "1.40";
/** Newest API that this version was written for: a newer engine is spoken to in this one. */
const NEWEST_API = "1.51";
const MAX_ANSWER = 4 * 1024 * 1024;

export interface EngineFacts {
  /** Of the product: "Docker", "Docker Desktop", "Podman". */
  name: string;
  version: string;
  /** API version to speak, such as "1.41". */
  api: string;
  /** The engine's own id: the same engine keeps it at whatever address. Empty when it has none. */
  id: string;
  cpus: number;
  /** Bytes. */
  memory: number;
  runtimes: string[];
  default_runtime: string;
}

/** Something answers that is no engine, or one that cannot be used. */
export class NotUsable extends Error {
  readonly reason: "not_docker" | "refused" | "too_old" | "windows_containers";

  constructor(reason: NotUsable["reason"], message: string) {
    super(message);
    this.name = "NotUsable";
    this.reason = reason;
  }
}

const Version = z.object({
  Version: z.string(),
  ApiVersion: z.string().regex(/^\d+\.\d+$/),
  MinAPIVersion: z.string().catch(""),
  Os: z.string().catch("linux"),
  Platform: z.object({ Name: z.string() }).catch({ Name: "" }),
  Components: z.array(z.object({ Name: z.string() })).catch([]),
});
const Info = z.object({
  ID: z.string().catch(""),
  NCPU: z.number().catch(1),
  MemTotal: z.number().catch(0),
  Runtimes: z.record(z.string(), z.unknown()).catch({}),
  DefaultRuntime: z.string().catch(""),
});

/**
 * What the engine at `address` is. Rejects with {@link NotUsable}, with the system's error (ENOENT, EACCES, …) or with a
 * TimeoutError; `BadAddress` when TLS material cannot be read.
 */
export async function probe(address: EngineAddress, limitMs: number): Promise<EngineFacts> {
  const done = new AbortController();
  const signal = AbortSignal.any([AbortSignal.timeout(limitMs), done.signal]);
  const tls = address.tls?.() ?? null;
  try {
    const [version, info] = await Promise.all([
      ask(address, tls, "/version", signal),
      ask(address, tls, "/info", signal),
    ]);
    return factsOf(version, info);
  } finally {
    done.abort();
  }
}

/** Whether an engine that was there a moment ago still is. Rejects like {@link probe}. */
export async function ping(address: EngineAddress, limitMs: number): Promise<void> {
  const { status } = await ask(address, address.tls?.() ?? null, "/_ping", AbortSignal.timeout(limitMs));
  if (status !== 200) throw new NotUsable("not_docker", `what answers there has status ${status}`);
}

function factsOf(version: Answer, info: Answer): EngineFacts {
  if (version.status === 401 || version.status === 403) {
    throw new NotUsable("refused", `what answers there refuses this client (status ${version.status})`);
  }
  const parsed = Version.safeParse(version.status === 200 ? version.json : null);
  if (!parsed.success) throw new NotUsable("not_docker", "what answers there is not a container engine");
  const { Version: product, ApiVersion, MinAPIVersion, Os, Platform, Components } = parsed.data;
  if (Os.toLowerCase() === "windows") throw new NotUsable("windows_containers", "it runs Windows containers");
  if (compareApi(ApiVersion, OLDEST_API) < 0) {
    throw new NotUsable("too_old", `its version ${product} speaks API ${ApiVersion}, and ${OLDEST_API} is needed`);
  }
  // Of use and not needed: a proxy in front of the engine may hide it.
  const facts = Info.catch(Info.parse({})).parse(info.json);
  return {
    name: productName(Platform.Name, Components),
    version: product,
    api: spokenApi(ApiVersion, MinAPIVersion),
    id: facts.ID,
    cpus: Math.max(facts.NCPU, 1),
    memory: facts.MemTotal,
    runtimes: Object.keys(facts.Runtimes).sort(),
    default_runtime: facts.DefaultRuntime,
  };
}

/** The engine's own version, but none newer than this program knows, unless the engine has dropped that one. */
function spokenApi(newest: string, oldest: string): string {
  if (compareApi(newest, NEWEST_API) <= 0) return newest;
  return /^\d+\.\d+$/.test(oldest) && compareApi(oldest, NEWEST_API) > 0 ? oldest : NEWEST_API;
}

function compareApi(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split(".").map(Number);
  const [bMajor = 0, bMinor = 0] = b.split(".").map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}

function productName(platform: string, components: readonly { Name: string }[]): string {
  if (components.some(({ Name }) => /podman/i.test(Name))) return "Podman";
  return /desktop/i.test(platform) ? "Docker Desktop" : "Docker";
}

interface Answer {
  status: number;
  /** Null when the body is no JSON. */
  json: unknown;
}

function ask(address: EngineAddress, tls: TlsMaterial | null, path: string, signal: AbortSignal): Promise<Answer> {
  const options: RequestOptions = {
    path,
    signal,
    agent: false,
    headers: { accept: "application/json" },
    ...(address.socket === null ? { host: address.host, port: address.port } : { socketPath: address.socket }),
    ...(tls === null ? {} : tlsOptions(tls)),
  };
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => reject(explain(error, signal));
    const request = (tls === null ? httpRequest : httpsRequest)(options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("error", fail);
      response.on("data", (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        if (size > MAX_ANSWER) request.destroy(new NotUsable("not_docker", "what answers there never ends its answer"));
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, json: parse(Buffer.concat(chunks)) }));
    });
    request.on("error", fail);
    request.end();
  });
}

function explain(error: Error, signal: AbortSignal): Error {
  if (signal.aborted) return signal.reason as Error;
  const { code } = error as NodeJS.ErrnoException;
  if (code?.startsWith("HPE_") === true) return new NotUsable("not_docker", "what answers there does not speak HTTP");
  return error;
}

function tlsOptions({ ca, cert, key, verify }: TlsMaterial): object {
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    rejectUnauthorized: verify,
  };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return null;
  }
}
