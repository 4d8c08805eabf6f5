/** Plain containers for the network's tests, without the provider around them. */
import { randomUUID } from "node:crypto";
import Dockerode from "dockerode";
import { newId } from "../../../../contract/ids.ts";
import { DockerContainer } from "../../container/container.ts";
import { SANDBOX_IMAGE, testDockerHost } from "../../testing/real_engine.ts";
import type { SandboxNetwork } from "../port.ts";

export const INSTALL = `network-test-${randomUUID()}`;

export function engine(): Dockerode {
  return new Dockerode({ socketPath: testDockerHost().replace(/^unix:\/\//, "") });
}

export interface StartedContainer extends DockerContainer {
  /** Standard output and error of a shell command of the agent, trimmed, and its exit code. */
  sh(script: string, timeoutMs?: number): Promise<{ code: number; text: string }>;
  restart(): Promise<void>;
}

const made: string[] = [];

/** A started container of the agent's, waiting for commands. @param network gives its network mode, variables and main command */
export async function startContainer(
  docker: Dockerode,
  network: Pick<SandboxNetwork, "networkMode" | "env" | "command">,
  options: { image?: string; sessionId?: string; setUp?: string } = {},
): Promise<StartedContainer> {
  const sessionId = options.sessionId ?? newId("session");
  const created = await docker.createContainer({
    Image: options.image ?? SANDBOX_IMAGE,
    User: "1000:1000",
    Entrypoint: network.command(["/bin/sh", "-c", `${options.setUp ?? ":"}\nwhile :; do sleep 600; done`]),
    Cmd: [],
    Env: Object.entries(network.env).map(([key, value]) => `${key}=${value}`),
    Labels: { "longhaul.install": INSTALL, "longhaul.session": sessionId },
    HostConfig: {
      NetworkMode: network.networkMode,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges"],
      Init: true,
      Tmpfs: { "/tmp": "mode=1777,size=268435456" },
      Memory: 512 * 1024 * 1024,
      PidsLimit: 512,
    },
  });
  made.push(created.id);
  await created.start();
  const container = new DockerContainer(docker, created.id, sessionId);
  return Object.assign(container, {
    sh: async (script: string, timeoutMs = 30_000) => {
      const merged = ["/bin/sh", "-c", `exec 2>&1; export HOME=/tmp; cd /tmp; ${script}`];
      const { exitCode, stdout } = await container.exec(merged, { timeoutMs });
      return { code: exitCode, text: stdout.toString().trim() };
    },
    restart: async () => {
      await created.kill();
      await created.start();
    },
  });
}

/** Removes everything that the tests of this file made. */
export async function removeContainers(docker: Dockerode): Promise<void> {
  await Promise.all(made.splice(0).map((id) => docker.getContainer(id).remove({ force: true, v: true })));
  const networks = await docker.listNetworks({ filters: { label: [`longhaul.install=${INSTALL}`] } });
  for (const { Id } of networks) await docker.getNetwork(Id).remove();
}
