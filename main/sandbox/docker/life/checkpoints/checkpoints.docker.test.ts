import { afterAll, beforeAll, expect, test } from "vitest";
import { archive } from "../../container/archive.ts";
import { DockerContainer } from "../../container/container.ts";
import { createOptions, LABELS } from "../../container/spec.ts";
import { type Install, newInstall } from "../../testing/install.ts";
import { BUSYBOX_IMAGE } from "../../testing/real_engine.ts";
import type { Owner } from "../find.ts";
import {
  CHECKPOINT_LIMITS,
  type CheckpointLimits,
  listCheckpoints,
  removeCheckpoints,
  takeCheckpoint,
} from "./checkpoints.ts";

let install: Install;
let owner: Owner;
beforeAll(async () => {
  install = await newInstall();
  owner = { install: install.id, session: "sesn_copy" };
});
afterAll(() => install.remove());

async function container(image: string, name: string): Promise<DockerContainer> {
  const made = await install.docker.createContainer(
    createOptions({
      name: `${install.id}-${name}`,
      image,
      command: ["/bin/sh", "-c", "sleep 300"],
      labels: { [LABELS.install]: owner.install, [LABELS.session]: owner.session },
      settings: { image: null, runtime: null, memory_bytes: 256 * 1024 ** 2, nano_cpus: 1e9, pids: 64 },
      networkMode: "none",
      env: { KEPT: 'a "quoted" $value \\ here' },
    }),
  );
  const container = new DockerContainer(install.docker, made.id, owner.session);
  const [uid, gid] = [1000, 1000];
  await container.putTar("/", await archive([{ path: "/workspace/", mode: 0o755, uid, gid }]));
  await made.start();
  return container;
}

const run = async (where: DockerContainer, command: string): Promise<string> =>
  (await where.exec(["/bin/sh", "-c", command])).stdout.toString().trim();
const take = (from: DockerContainer, limits: Partial<CheckpointLimits> = {}) =>
  takeCheckpoint(install.docker, owner, from, { ...CHECKPOINT_LIMITS, ...limits });

test("the newest two are kept, each with the files of its time", async () => {
  const made = await container(BUSYBOX_IMAGE, "one");
  for (const text of ["first", "second", "third"]) {
    await run(made, `echo ${text} > note`);
    const taken = await take(made);
    expect(taken.checkpoint).toMatch(/^longhaul-checkpoint:longhaul-test\w+-sesn_copy-\d$/);
    expect(taken.size_bytes).toBeGreaterThan(0);
  }
  const list = await listCheckpoints(install.docker, owner);
  expect(list.map(({ number }) => number)).toEqual([3, 2]);
  expect(Math.abs(Date.parse(list[0]!.taken_at) - Date.now())).toBeLessThan(60_000);
  const again = await container(list[0]!.image, "again");
  expect(await run(again, "cat note; stat -c %u note")).toBe("third\n1000");
});

test("other sessions and other installs have their own", async () => {
  expect(await listCheckpoints(install.docker, { ...owner, session: "sesn_other" })).toEqual([]);
  expect(await listCheckpoints(install.docker, { ...owner, install: "another" })).toEqual([]);
});

test("what has written too much is not copied, and the text says so", async () => {
  const made = await container(BUSYBOX_IMAGE, "big");
  await run(made, "dd if=/dev/zero of=big bs=1M count=3");
  const before = await listCheckpoints(install.docker, owner);
  await expect(take(made, { maxBytes: 1024 ** 2 })).rejects.toThrow(
    /has written .* more than .* Delete what is not needed/,
  );
  expect(await listCheckpoints(install.docker, owner)).toEqual(before);
});

test("an image of too many layers is made anew in one, and keeps files, owners, labels and environment", async () => {
  const [last] = await listCheckpoints(install.docker, owner);
  const made = await container(last!.image, "deep");
  await run(made, "echo deep > deep");
  await take(made, { maxLayers: 2 });
  const [flat] = await listCheckpoints(install.docker, owner);
  expect(flat!.number).toBe(last!.number + 1);
  const image = await install.docker.getImage(flat!.image).inspect();
  expect(image.RootFS.Layers).toHaveLength(1);
  expect(image.Config.Env).toContain('KEPT=a "quoted" $value \\ here');
  const again = await container(flat!.image, "flat");
  expect(await run(again, "cat note deep; stat -c %u deep")).toBe("third\ndeep\n1000");
});

test("all are removed but those of containers that are there, and then those, too", async () => {
  await removeCheckpoints(install.docker, await listCheckpoints(install.docker, owner));
  for (const { Id } of await install.containers()) await install.docker.getContainer(Id).remove({ force: true });
  await removeCheckpoints(install.docker, await listCheckpoints(install.docker, owner));
  expect(await listCheckpoints(install.docker, owner)).toEqual([]);
});
