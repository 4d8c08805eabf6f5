/** Stands in front of a container engine's socket and counts what comes through: the proof that nothing came. */
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { testDockerHost } from "../../main/sandbox/docker/testing/real_engine.ts";

export interface CountingProxy {
  /** For `DOCKER_HOST`. */
  host: string;
  /** Connections since the start. */
  connections(): number;
  /** First line of every request seen at the start of a connection's data, for messages of failing tests. */
  requests(): string[];
  close(): Promise<void>;
}

export async function startCountingProxy(): Promise<CountingProxy> {
  const target = testDockerHost().replace(/^unix:\/\//, "");
  const folder = mkdtempSync(join(tmpdir(), "longhaul-proxy-"));
  const path = join(folder, "engine.sock");
  const open = new Set<Socket>();
  const requests: string[] = [];
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections += 1;
    const engine = connect({ path: target, allowHalfOpen: true });
    for (const socket of [client, engine]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
    }
    client.on("error", () => engine.destroy());
    engine.on("error", () => client.destroy());
    client.on("data", (bytes) => {
      const line = bytes.toString("latin1").split("\r\n", 1)[0] ?? "";
      if (/ HTTP\/1\.1$/.test(line)) requests.push(line);
    });
    client.pipe(engine);
    engine.pipe(client);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return {
    host: `unix://${path}`,
    connections: () => connections,
    requests: () => requests,
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
