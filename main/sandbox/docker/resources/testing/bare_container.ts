/** A container as the provider makes one, without its runner: for tests of what goes in and comes out. */
import Docker from "dockerode";
import type { SessionResource } from "../../../../contract/events.ts";
import { archive } from "../../container/archive.ts";
import { DockerContainer } from "../../container/container.ts";
import { sandboxFolders } from "../../container/spec.ts";
import { SANDBOX_IMAGE, testDockerHost } from "../../testing/real_engine.ts";
import { type PlaceRequest, placeResources } from "../place.ts";

export const INSTALL = "longhaul-resources-test";

export interface BareContainer extends AsyncDisposable {
  container: DockerContainer;
  stop(): Promise<void>;
  /** Output of a shell command of the agent; throws when it fails. */
  sh(command: string): Promise<string>;
}

export function engine(): Docker {
  return new Docker({ socketPath: new URL(testDockerHost()).pathname });
}

export async function bareContainer(
  options: { image?: string; session?: string; network?: string } = {},
): Promise<BareContainer> {
  const docker = engine();
  const made = await docker.createContainer({
    Image: options.image ?? SANDBOX_IMAGE,
    Entrypoint: ["/bin/sh", "-c", "exec sleep 3600"],
    User: "1000:1000",
    WorkingDir: "/workspace",
    Env: ["HOME=/home/agent"],
    Labels: { "longhaul.install": INSTALL },
    HostConfig: {
      Init: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      PidsLimit: 256,
      NetworkMode: options.network ?? "none",
      Tmpfs: { "/tmp": "rw,exec,nosuid,nodev,mode=1777,size=1g" },
    },
  });
  await made.putArchive(await archive(sandboxFolders()), { path: "/" });
  await made.start();
  const container = new DockerContainer(docker, made.id, options.session ?? "sesn_test0123456789");
  return {
    container,
    stop: async () => void (await made.stop({ t: 0 })),
    sh: async (command) => {
      const done = await container.exec(["/bin/sh", "-c", command], { cwd: "/workspace" });
      if (done.exitCode !== 0) throw new Error(`${command}: ${done.exitCode} ${done.stderr}`);
      return done.stdout.toString();
    },
    [Symbol.asyncDispose]: async () => void (await made.remove({ force: true, v: true })),
  };
}

export interface Steps {
  steps: string[];
  errors: string[];
}

/** Places resources and gathers the steps. */
export async function place(
  container: DockerContainer,
  dataDir: string,
  resources: readonly SessionResource[],
  readFile: PlaceRequest["readFile"] = () => Promise.reject(new Error("no such file")),
): Promise<Steps> {
  const told: Steps = { steps: [], errors: [] };
  await placeResources(
    container,
    {
      session_id: container.sessionId,
      resources,
      readFile,
      onProgress: () => undefined,
      onStep: ({ step, error }) => void (error === null ? told.steps.push(step) : told.errors.push(error)),
    },
    dataDir,
  );
  return told;
}
