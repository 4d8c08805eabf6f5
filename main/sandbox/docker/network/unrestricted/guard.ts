/**
 * Closes private, metadata and the machine's own addresses in a container's network namespace. A helper container of our
 * own image does it, because the sandbox itself must not have the right to undo it.
 */

import { networkInterfaces } from "node:os";
import { PassThrough } from "node:stream";
import type Dockerode from "dockerode";
import { engineCall, LOOK_MS, WORK_MS } from "../../container/engine_call.ts";
import { GUARD_SCRIPT } from "./guard_script.ts";

export interface GuardRequest {
  docker: Dockerode;
  install: string;
  sessionId: string;
  /** Container whose network is closed; it must run. */
  containerId: string;
  /** Image with a shell and iproute2's `ip`. */
  image: string;
  /** Ranges to close beside those that are always closed. */
  ranges: readonly string[];
  /** Resolvers that stay reachable on port 53 though their addresses are closed. */
  resolvers: readonly string[];
}

/** Milliseconds for some route look-ups; a machine under load takes a second for a container. */
const RUN_MS = 30_000;
const DOING = "close the sandbox's network towards private addresses";

/** Resolves when the addresses are closed for certain. Rejects with the reason when not. */
export async function applyGuard(request: GuardRequest): Promise<void> {
  const { docker, containerId } = request;
  const helper = await engineCall(docker, DOING, WORK_MS, (abortSignal) =>
    docker.createContainer({
      Image: request.image,
      User: "0:0",
      Entrypoint: ["/bin/sh", "-c", GUARD_SCRIPT, "guard"],
      Cmd: [...request.ranges, "--", ...request.resolvers],
      Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
      WorkingDir: "/",
      Healthcheck: { Test: ["NONE"] },
      // The session's label would make it look like a sandbox.
      Labels: { "longhaul.install": request.install, "longhaul.helper": request.sessionId },
      HostConfig: {
        NetworkMode: `container:${containerId}`,
        CapDrop: ["ALL"],
        CapAdd: ["NET_ADMIN"],
        SecurityOpt: ["no-new-privileges"],
        ReadonlyRootfs: true,
        PidsLimit: 64,
        Memory: 64 * 1024 * 1024,
        AutoRemove: true,
      },
      abortSignal,
    }),
  );
  try {
    const said = await runHelper(docker, helper);
    // The script's last word; a helper that fails or is killed does not get to it.
    if (!/^guarded$/m.test(said)) throw new Error(said.trim().slice(-300) || "the helper said nothing");
  } catch (error) {
    await removeHelper(docker, helper);
    throw error;
  }
}

/** Addresses of this machine: where they are public, no range closes them. */
export function ownRanges(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => `${address}/32`);
}

async function runHelper(docker: Dockerode, helper: Dockerode.Container): Promise<string> {
  const stream = await engineCall(docker, DOING, LOOK_MS, (abortSignal) =>
    helper.attach({ stream: true, stdout: true, stderr: true, abortSignal }),
  );
  const text = new PassThrough();
  const parts: Buffer[] = [];
  text.on("data", (part: Buffer) => void (parts.length < 100 && parts.push(part)));
  docker.modem.demuxStream(stream, text, text);
  const ended = new Promise<void>((resolve) => {
    for (const end of ["end", "close", "error"]) stream.on(end, () => resolve());
  });
  try {
    // The output ends with the helper.
    await engineCall(docker, DOING, RUN_MS, async (abortSignal) => {
      await helper.start({ abortSignal });
      await ended;
    });
    return Buffer.concat(parts).toString();
  } finally {
    if ("destroy" in stream && typeof stream.destroy === "function") stream.destroy();
  }
}

/** The engine removes a helper that has run; this one may not have. What stays is found by its label later. */
async function removeHelper(docker: Dockerode, helper: Dockerode.Container): Promise<void> {
  const doing = "remove a helper container";
  await engineCall(docker, doing, LOOK_MS, (abortSignal) => helper.remove({ force: true, v: true, abortSignal })).catch(
    () => undefined,
  );
}
