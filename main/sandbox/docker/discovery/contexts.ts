/** The current Docker context, as `docker context use` leaves it in the person's configuration. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BadAddress, type EngineAddress, parseAddress, readTls } from "./address.ts";

const Config = z.object({ currentContext: z.string().optional() });
const Meta = z.object({
  Endpoints: z.object({
    docker: z.object({ Host: z.string().default(""), SkipTLSVerify: z.boolean().default(false) }),
  }),
});

/**
 * The engine of the current context; null when none is chosen (the context "default" is the usual socket).
 * @param folder the Docker configuration's, usually `~/.docker`
 * @param wanted value of `DOCKER_CONTEXT`; null takes the configuration's
 * @throws BadAddress when the context is missing, unreadable or of an unsupported kind
 */
export function contextAddress(folder: string, wanted: string | null): EngineAddress | null {
  const name = wanted ?? currentContext(folder);
  if (name === null || name === "default") return null;
  const id = createHash("sha256").update(name).digest("hex");
  const path = join(folder, "contexts", "meta", id, "meta.json");
  const text = readText(path);
  if (text === null) {
    throw new BadAddress(
      `The Docker context ${JSON.stringify(name)} is chosen, but it does not exist. ` +
        "`docker context ls` lists them; choose one with `docker context use NAME`, or unset DOCKER_CONTEXT.",
    );
  }
  const meta = Meta.safeParse(parseJson(text));
  if (!meta.success || meta.data.Endpoints.docker.Host === "") {
    throw new BadAddress(
      `The Docker context ${JSON.stringify(name)} names no engine that can be used (${path}). ` +
        "Choose another with `docker context use NAME`.",
    );
  }
  const { Host, SkipTLSVerify } = meta.data.Endpoints.docker;
  const tlsFolder = join(folder, "contexts", "tls", id, "docker");
  const encrypted = SkipTLSVerify || readText(join(tlsFolder, "ca.pem")) !== null;
  const tls = encrypted ? () => readTls(tlsFolder, !SkipTLSVerify, true) : null;
  return parseAddress(Host, `The Docker context ${JSON.stringify(name)}`, tls);
}

function currentContext(folder: string): string | null {
  const config = Config.safeParse(parseJson(readText(join(folder, "config.json")) ?? "{}"));
  // A configuration that Docker itself could not read chooses nothing.
  const name = config.success ? (config.data.currentContext ?? "") : "";
  return name === "" ? null : name;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Missing and unreadable come to the same: nothing can be learned from it.
    return null;
  }
}
