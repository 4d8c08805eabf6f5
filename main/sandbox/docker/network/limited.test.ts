import { PassThrough } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import Dockerode from "dockerode";
import { expect, test, vi } from "vitest";
import type { ExecStream } from "../../runner/stream.ts";
import type { Container } from "../ports.ts";
import { LimitedNetwork } from "./limited.ts";
import { FRAME, frameHeader } from "./relay/frames.ts";

// The waits between starts, at once.
vi.mock("node:timers/promises", async (original) => ({
  ...(await original<typeof import("node:timers/promises")>()),
  setTimeout: () => Promise.resolve(),
}));

test("a relay that is killed again and again is started again each time", async () => {
  let opened = 0;
  let kill: () => void = () => undefined;
  const open = (): Promise<ExecStream> => {
    opened += 1;
    const [stdin, stdout] = [new PassThrough(), new PassThrough()];
    const closed = new Promise<void>((resolve) => {
      kill = resolve;
    });
    stdout.write(Buffer.concat([Buffer.from("P"), frameHeader(FRAME.hello, 0, 0)]));
    return Promise.resolve({ stdin, stdout, stderr: () => "", closed, destroy: () => stdin.destroy() });
  };
  const network = new LimitedNetwork(
    {
      session_id: "sesn_1",
      runtime: null,
      config: {
        type: "cloud",
        networking: { type: "limited", allowed_hosts: [], allow_mcp_servers: false, allow_package_managers: false },
        packages: { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
      },
    },
    {
      docker: new Dockerode({ socketPath: "/nowhere" }),
      install: "test",
      egress: {
        allow: () => Promise.resolve(),
        connect: () => Promise.reject(new Error("not asked for")),
        certificate: () => Promise.reject(new Error("not asked for")),
      },
      tell: () => undefined,
      guardImage: () => Promise.reject(new Error("not asked for")),
    },
  );
  const container = { id: "one", sessionId: "sesn_1", open } as unknown as Container;
  await network.ready(container);
  for (let kills = 1; kills <= 12; kills++) {
    kill();
    for (let tries = 0; opened <= kills && tries < 1_000; tries++) await turn();
    expect(opened).toBe(kills + 1);
    for (let settling = 0; settling < 20; settling++) await turn();
  }
  network.close();
  kill();
  for (let settling = 0; settling < 20; settling++) await turn();
  expect(opened).toBe(13);
});
