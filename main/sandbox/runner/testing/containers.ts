/** Containers with nothing but the runner, for tests of it: no provider, no network, no resources. */
import { PassThrough, Readable } from "node:stream";
import Docker from "dockerode";
import { pack } from "tar-stream";
import { testDockerHost } from "../../docker/testing/real_engine.ts";
import { RunnerClient } from "../client.ts";
import { CHANNEL_COMMAND, RUNNER_COMMAND, runnerFiles, runnerState } from "../files.ts";
import type { ExecStream } from "../stream.ts";

const AGENT = 1000;
const LABEL = "longhaul.install";
const INSTALL = "runner-tests";

function engine(): Docker {
  const host = new URL(testDockerHost());
  return host.protocol === "unix:"
    ? new Docker({ socketPath: host.pathname })
    : new Docker({ host: host.hostname, port: host.port });
}

/** Folders and scripts as the provider puts them into a container. */
function layout(): ReturnType<typeof pack> {
  const archive = pack();
  const agent = { uid: AGENT, gid: AGENT };
  for (const name of ["workspace", "home/agent", "mnt/session/outputs"]) {
    archive.entry({ name, type: "directory", mode: 0o755, ...agent });
  }
  archive.entry({ name: "mnt/session/uploads", type: "directory", mode: 0o755 });
  for (const { path, type, mode } of runnerState()) {
    if (type === "file") archive.entry({ name: path.slice(1), mode }, "");
    else archive.entry({ name: path.slice(1), type, mode });
  }
  for (const { path, content, mode } of runnerFiles()) archive.entry({ name: path.slice(1), mode }, content);
  archive.finalize();
  return archive;
}

export class RunnerContainer {
  readonly #container: Docker.Container;

  constructor(container: Docker.Container) {
    this.#container = container;
  }

  /**
   * @param tmpfs file systems in memory beside `/tmp`, by folder
   * @param env `NAME=value`
   */
  static async create(
    image: string,
    tmpfs: Record<string, string> = {},
    env: readonly string[] = [],
  ): Promise<RunnerContainer> {
    const container = await engine().createContainer({
      Image: image,
      Cmd: [...RUNNER_COMMAND],
      User: `${AGENT}:${AGENT}`,
      WorkingDir: "/workspace",
      Env: ["HOME=/home/agent", ...env],
      Labels: { [LABEL]: INSTALL },
      HostConfig: {
        Init: true,
        NetworkMode: "none",
        PidsLimit: 256,
        Memory: 1024 ** 3,
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges"],
        Tmpfs: { "/tmp": "mode=1777,size=256m", ...tmpfs },
      },
    });
    await container.putArchive(Readable.from(layout()), { path: "/" });
    await container.start();
    return new RunnerContainer(container);
  }

  /** A program in the container with its pipes. */
  async exec(argv: readonly string[], stdin = true): Promise<ExecStream> {
    const exec = await this.#container.exec({
      Cmd: [...argv],
      AttachStdin: stdin,
      AttachStdout: true,
      AttachStderr: true,
    });
    const duplex = await exec.start({ hijack: true, stdin });
    const stdout = new PassThrough();
    const stderr = new PassThrough();
    let errors = "";
    stderr.on("data", (chunk: Buffer) => {
      errors = (errors + chunk.toString()).slice(-16_384);
    });
    this.#container.modem.demuxStream(duplex, stdout, stderr);
    const closed = new Promise<void>((resolve) => {
      duplex.on("close", resolve);
      duplex.on("end", resolve);
      duplex.on("error", () => resolve());
    });
    void closed.then(() => stdout.end());
    return { stdin: duplex, stdout, stderr: () => errors, closed, destroy: () => duplex.destroy() };
  }

  /** Standard output of a program, to its end. */
  async output(argv: readonly string[]): Promise<string> {
    const stream = await this.exec(argv, false);
    let text = "";
    for await (const chunk of stream.stdout) text += String(chunk);
    return text;
  }

  async channel(): Promise<RunnerClient> {
    return RunnerClient.open(await this.exec(CHANNEL_COMMAND));
  }

  async kill(): Promise<void> {
    await this.#container.kill();
    // Until it is seen to be dead, a program can still be started in it.
    await this.#container.wait({ condition: "not-running" });
  }

  /** Starts it unless it runs. */
  async start(): Promise<void> {
    const { State } = await this.#container.inspect();
    if (!State.Running) await this.#container.start();
  }

  async remove(): Promise<void> {
    await this.#container.remove({ force: true });
  }
}
