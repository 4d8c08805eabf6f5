/** Containers are made once, whole, with little power, side by side, and what cannot be made is told in words. */
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ProvisionRequest } from "../../port.ts";
import { SandboxLost } from "../../port.ts";
import { newCallId, runTool } from "../../testing/bench.ts";
import { type Install, limitedRequest, newInstall } from "../testing/install.ts";
import { BUSYBOX_IMAGE, SHELLLESS_IMAGE, testDockerHost } from "../testing/real_engine.ts";

let install: Install;
beforeAll(async () => {
  install = await newInstall();
});
afterAll(() => install.remove());

const withImage = (session: string, image: string): ProvisionRequest =>
  limitedRequest(session, { metadata: { "longhaul.image": image } });

test("constructing and closing a provider contacts nothing", async () => {
  let asked = 0;
  const engine = (): Promise<never> => {
    asked += 1;
    return Promise.reject(new SandboxLost("no engine"));
  };
  const provider = install.open({ engine });
  await provider.close();
  expect(asked).toBe(0);
  await expect(install.open({ engine }).provision(limitedRequest("sesn_none"))).rejects.toThrow("no engine");
});

test("a container has its limits and labels and next to no power", async () => {
  const provider = install.open();
  const metadata = { "longhaul.memory": "300m", "longhaul.cpus": "0.5", "longhaul.pids": "100" };
  const steps: string[] = [];
  const onStep: ProvisionRequest["onStep"] = ({ step, duration_ms, error }) => {
    steps.push(step);
    expect([typeof duration_ms, error]).toEqual(["number", null]);
  };
  await provider.provision(limitedRequest("sesn_flags", { metadata, onStep }));
  expect(steps).toEqual(expect.arrayContaining(["create the container", "start the container", "reach the runner"]));
  const [row] = await install.containers("sesn_flags");
  const info = await install.docker.getContainer(row!.Id).inspect();
  expect(info.Name).toBe(`/longhaul-${install.id}-sesn_flags`);
  expect(info.Config.Labels).toMatchObject({
    "longhaul.session": "sesn_flags",
    "longhaul.install": install.id,
    "longhaul.version": "1",
  });
  expect([info.Config.User, info.Config.WorkingDir, info.Config.Tty]).toEqual(["1000:1000", "/workspace", false]);
  expect(info.HostConfig).toMatchObject({
    CapDrop: ["ALL"],
    SecurityOpt: ["no-new-privileges:true"],
    Privileged: false,
    Init: true,
    Memory: 300 * 1024 ** 2,
    MemorySwap: 300 * 1024 ** 2,
    NanoCpus: 5e8,
    PidsLimit: 100,
    NetworkMode: "none",
    RestartPolicy: { Name: "no" },
    LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
    PidMode: "",
    IpcMode: "private",
  });
  expect([info.HostConfig.CapAdd ?? [], info.HostConfig.Binds ?? [], info.Mounts]).toEqual([[], [], []]);
  expect(info.HostConfig.Tmpfs?.["/tmp"]).toMatch(/mode=1777,size=\d+$/);
  expect(info.HostConfig.Ulimits).toHaveLength(2);
  await provider.destroy("sesn_flags");
  expect(await install.containers("sesn_flags")).toEqual([]);
});

test("two providers that make the same sandbox at once end up with one", async () => {
  const made = await Promise.all([1, 2, 3].map(() => install.open().provision(limitedRequest("sesn_race"))));
  expect(await install.containers("sesn_race")).toHaveLength(1);
  for (const [i, { hand }] of made.entries()) await runTool(hand, "bash", { command: `export V${i}=${i}` });
  expect(await runTool(made[0]!.hand, "bash", { command: "echo $V0$V1$V2" })).toBe("012");
});

test("eight sessions at once on whatever cores there are", async () => {
  const provider = install.open();
  const ids = Array.from({ length: 8 }, (_, i) => `sesn_many${i}`);
  const texts = await Promise.all(
    ids.map(async (id) => {
      const { hand } = await provider.provision(limitedRequest(id));
      return runTool(hand, "bash", { command: `echo ${id} > own; cat own; ls | wc -l` });
    }),
  );
  expect(texts).toEqual(ids.map((id) => `${id}\n1`));
  await Promise.all(ids.map((id) => provider.destroy(id)));
});

test("another install on the same engine neither sees nor touches it", async () => {
  const other = await newInstall();
  const { hand } = await install.open().provision(limitedRequest("sesn_shared"));
  await runTool(hand, "bash", { command: "echo mine > f" });
  const theirs = await other.open().provision(limitedRequest("sesn_shared"));
  expect(theirs.how).toBe("created");
  expect(await runTool(theirs.hand, "bash", { command: "ls" })).toBe("(no output)");
  await other.open().destroy("sesn_shared");
  await other.remove();
  expect(await runTool(hand, "bash", { command: "cat f" })).toBe("mine");
});

describe("an engine process that dies while it makes a sandbox", () => {
  test("leaves nothing that is taken for a sandbox, whenever it dies", async () => {
    const program = `
      const { dockerProvider } = await import(${JSON.stringify(new URL("../provider.ts", import.meta.url).href)});
      const { findEngine } = await import(${JSON.stringify(new URL("../find_engine.ts", import.meta.url).href)});
      const { limitedRequest } = await import(${JSON.stringify(new URL("../testing/install.ts", import.meta.url).href)});
      const engine = await findEngine({ DOCKER_HOST: ${JSON.stringify(testDockerHost())} });
      const [session, dataDir, installId] = process.argv.slice(1);
      const options = { dataDir, installId, egress: null, tell() {} };
      const provider = dockerProvider({ ...options, engine: () => Promise.resolve(engine) });
      console.log("begin");
      await provider.provision(limitedRequest(session, { onStep: ({ step }) => console.log(step) }));
      console.log("made");
    `;
    // Killed right after it said this, or so many milliseconds later.
    const moments: [string, number][] = [
      ["begin", 60],
      ["begin", 160],
      ["create the container", 0],
      ["start the container", 0],
      ["reach the runner", 0],
    ];
    await Promise.all(
      moments.map(async ([line, delay], i) => {
        // One engine process per install: each clears away what an earlier one left.
        const mine = await newInstall();
        const session = `sesn_half${i}`;
        const argv = ["--input-type=module", "-e", program, session, mine.dataDir, mine.id];
        const child = spawn(process.execPath, argv, {
          stdio: ["ignore", "pipe", "inherit"],
        });
        const ended = new Promise((resolve) => child.once("exit", resolve));
        let text = "";
        await new Promise<void>((resolve) => {
          child.stdout.on("data", (chunk: Buffer) => {
            text += chunk.toString();
            if (text.includes(line)) resolve();
          });
          child.once("exit", () => resolve());
        });
        await sleep(delay);
        child.kill("SIGKILL");
        await ended;
        const { hand, how } = await mine.open().provision(limitedRequest(session));
        if (text.includes("made")) expect(how).toBe("adopted");
        else if (i < 4) expect(how).toBe("created");
        expect(await runTool(hand, "bash", { command: "pwd" })).toBe("/workspace");
        expect(await mine.containers(session)).toHaveLength(1);
        await mine.remove();
      }),
    );
  });
});

describe("images", () => {
  test("one with nothing but a POSIX shell works, and keeps what a call did", async () => {
    const provider = install.open();
    const { hand } = await provider.provision(withImage("sesn_busybox", BUSYBOX_IMAGE));
    const id = newCallId();
    expect(
      await runTool(hand, "bash", { command: "cd /tmp; export A=1; echo done >> /workspace/f; echo ok" }, id),
    ).toBe("ok");
    expect(await runTool(hand, "bash", { command: "no" }, id)).toBe("ok");
    expect(await runTool(hand, "bash", { command: "pwd; echo $A; cat /workspace/f" })).toBe("/tmp\n1\ndone");
    expect(await runTool(hand, "read", { file_path: "f" })).toBe("done\n");
    await install.kill("sesn_busybox");
    expect(await runTool(hand, "bash", { command: "cat /workspace/f" })).toBe("done");
    await provider.destroy("sesn_busybox");
  });

  test.each([
    [SHELLLESS_IMAGE, /no POSIX shell/],
    ["longhaul-nosuch:test", /image|registry/],
    ["Not A Name", /must be the name of an image/],
  ])("%s is refused with words, and nothing is left", async (image, words) => {
    const provider = install.open();
    const errors: (string | null)[] = [];
    const onStep: ProvisionRequest["onStep"] = ({ error }) => errors.push(error);
    const made = provider.provision({ ...withImage("sesn_refused", image), onStep });
    await expect(made).rejects.toBeInstanceOf(SandboxLost);
    await expect(made).rejects.toThrow(words);
    expect(await install.containers("sesn_refused")).toEqual([]);
  });

  test("a runtime that the engine does not have is named, and nothing is left", async () => {
    const metadata = { "longhaul.runtime": "nosuch" };
    const made = install.open().provision(limitedRequest("sesn_runtime", { metadata }));
    await expect(made).rejects.toThrow(/create the container.*does not know the runtime.*longhaul\.runtime/s);
    expect(await install.containers("sesn_runtime")).toEqual([]);
  });
});
