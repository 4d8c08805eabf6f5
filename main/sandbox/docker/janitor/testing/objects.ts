/** Small containers, images and networks on the real engine, labelled as ours or as somebody else's. */
import { randomBytes } from "node:crypto";
import type Docker from "dockerode";
import { LABELS } from "../../container/spec.ts";
import { parseAddress } from "../../discovery/address.ts";
import { connectEngine } from "../../discovery/connect.ts";
import { containerName } from "../../life/find.ts";
import { BUSYBOX_IMAGE, testDockerHost } from "../../testing/real_engine.ts";
import { noteName } from "../install.ts";

/** A main process that is taken for the runner: it waits without a child. */
const AT_REST = ["sh", "-c", "mkfifo /p; read x <>/p", "/opt/longhaul/main.sh"];

export class EngineObjects implements AsyncDisposable {
  readonly docker: Docker;
  /** Installs whose things are removed at the end. */
  readonly #installs: string[] = [];
  readonly #containers: string[] = [];

  private constructor(docker: Docker) {
    this.docker = docker;
  }

  static async open(): Promise<EngineObjects> {
    const engine = await connectEngine(parseAddress(testDockerHost(), "LONGHAUL_TEST_DOCKER_HOST", null), 20_000);
    return new EngineObjects(engine.docker);
  }

  install(): string {
    const id = `t${randomBytes(6).toString("hex")}`;
    this.#installs.push(id);
    return id;
  }

  /** Takes an install made elsewhere into what is removed at the end. */
  track(id: string): string {
    this.#installs.push(id);
    return id;
  }

  /** @returns its id */
  async container(options: {
    name: string;
    labels?: Record<string, string>;
    image?: string;
    start?: boolean;
    command?: string[];
    network?: string;
  }): Promise<string> {
    const container = await this.docker.createContainer({
      name: options.name,
      Image: options.image ?? BUSYBOX_IMAGE,
      Entrypoint: options.command ?? AT_REST,
      Cmd: [],
      Labels: options.labels ?? {},
      StopSignal: "SIGKILL",
      HostConfig: { NetworkMode: options.network ?? "none", Init: true },
    });
    this.#containers.push(container.id);
    if (options.start === true) await container.start();
    return container.id;
  }

  /** The container of a session, as the provider names and labels it. */
  sandbox(install: string, session: string, more: { start?: boolean; command?: string[] } = {}): Promise<string> {
    const labels = { [LABELS.install]: install, [LABELS.session]: session, [LABELS.version]: "1" };
    return this.container({ name: containerName({ install, session }), labels, ...more });
  }

  async checkpoint(containerId: string, tag: string, number = 1): Promise<string> {
    const changes = [`LABEL ${LABELS.checkpoint}=${number}`];
    await this.docker.getContainer(containerId).commit({ repo: "longhaul-checkpoint", tag, changes });
    return `longhaul-checkpoint:${tag}`;
  }

  async exists(name: string): Promise<boolean> {
    try {
      await this.docker.getContainer(name).inspect();
      return true;
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return false;
      throw error;
    }
  }

  async state(id: string): Promise<string> {
    return (await this.docker.getContainer(id).inspect()).State.Status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = (error: unknown): void => {
      if ((error as { statusCode?: number }).statusCode !== 404) throw error;
    };
    for (const id of this.#containers) await this.docker.getContainer(id).remove({ force: true, v: true }).catch(gone);
    for (const install of this.#installs) {
      const filters = JSON.stringify({ label: [`${LABELS.install}=${install}`] });
      for (const { RepoTags } of await this.docker.listImages({ filters })) {
        for (const tag of RepoTags ?? []) await this.docker.getImage(tag).remove().catch(gone);
      }
      for (const { Id } of await this.docker.listNetworks({ filters }))
        await this.docker.getNetwork(Id).remove().catch(gone);
      await this.docker.getVolume(noteName(install)).remove().catch(gone);
    }
  }
}
