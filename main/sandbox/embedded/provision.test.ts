import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LocalRepositoryResource, SessionResource } from "../../contract/events.ts";
import { type ProvisionRequest, type ProvisionStep, SandboxLost, type SandboxProvider } from "../port.ts";
import { uploadPath } from "../resources/mount.ts";
import { failureOf, provisionRequest, runTool } from "../testing/bench.ts";
import { crash } from "../testing/processes.ts";
import { fingerprint, gitIn, repository } from "../testing/repositories.ts";
import { sandboxLayout } from "./layout.ts";
import { hostRecord } from "./link/launch.ts";
import { embeddedProvider } from "./provider.ts";

const session = "sesn_provision";
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let dataDir: string;
let repo: string;
let provider: SandboxProvider;
let steps: ProvisionStep[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "longhaul-provision-"));
  repo = join(dataDir, "my repo");
  provider = embeddedProvider({ dataDir, hostEntry: join(import.meta.dirname, "host.ts") });
  steps = [];
});

afterEach(async () => {
  await provider.destroy(session);
  await provider.close();
  await rm(dataDir, { recursive: true, force: true });
});

const layout = (): ReturnType<typeof sandboxLayout> => sandboxLayout(dataDir, session);

function resource(more: Partial<LocalRepositoryResource> = {}): LocalRepositoryResource {
  return {
    id: "sesrsc_repo",
    type: "local_repository",
    path: repo,
    mount_path: "/workspace/my repo",
    checkout: null,
    include_uncommitted: true,
    created_at: "",
    updated_at: "",
    ...more,
  };
}

function request(...resources: SessionResource[]): ProvisionRequest {
  return provisionRequest(session, { resources, onStep: (step) => steps.push(step) });
}

test("a repository enters once, and its changes are a patch while the sandbox runs and after", async () => {
  repository(repo, { "src/main.py": "print('bug')\n", "README.md": "# hi\n" });
  const before = fingerprint(repo, true);
  const { hand } = await provider.provision(request(resource()));
  expect(steps).toContainEqual(
    expect.objectContaining({
      step: expect.stringMatching(/^copy .*my repo to \/workspace\/my repo \(2 files/),
      error: null,
    }),
  );
  expect(await provider.changes(session, [resource()])).toMatchObject([{ patch: "", files: [] }]);
  await runTool(hand, "bash", {
    command: "cd 'my repo' && sed -i s/bug/fixed/ src/main.py && python3 src/main.py > out.txt",
  });
  await runTool(hand, "edit", { file_path: "/workspace/my repo/README.md", old_string: "hi", new_string: "hello" });

  const [running] = await provider.changes(session, [resource()]);
  expect(running).toMatchObject({ path: repo, mount_path: "/workspace/my repo" });
  expect(running?.files.map((file) => `${file.status} ${file.path}`)).toEqual([
    "modified README.md",
    "added out.txt",
    "modified src/main.py",
  ]);
  await crash(hostRecord(layout())?.pid);
  expect(await provider.changes(session, [resource()])).toEqual([running]);

  // Provisioning again leaves the agent's work alone.
  steps = [];
  const again = await provider.provision(request(resource()));
  expect(steps.map(({ step }) => step)).toEqual(["start the sandbox's process"]);
  expect(await runTool(again.hand, "bash", { command: "cat '/workspace/my repo/out.txt'" })).toBe("fixed");

  expect(fingerprint(repo, true)).toEqual(before);
  writeFileSync(join(dataDir, "p.patch"), running?.patch ?? "");
  gitIn(repo, "apply", "--check", join(dataDir, "p.patch"));
});

test("a placing that was cut off is cleared away and done again", async () => {
  repository(repo, { "a.txt": "a\n", "b.txt": "b\n" });
  // As a process leaves it that dies while it moves the files in.
  const { root, markers, staging } = layout();
  mkdirSync(join(root, "workspace/my repo"), { recursive: true });
  writeFileSync(join(root, "workspace/my repo/half.txt"), "half");
  mkdirSync(markers, { recursive: true });
  writeFileSync(join(markers, "sesrsc_repo"), "placing");
  mkdirSync(join(staging, "sesrsc_repo/tree"), { recursive: true });
  writeFileSync(join(staging, "sesrsc_repo/tree/old.txt"), "old");
  const { hand } = await provider.provision(request(resource()));
  expect(await runTool(hand, "bash", { command: "ls 'my repo'" })).toBe("a.txt\nb.txt");
  expect(await provider.changes(session, [resource()])).toMatchObject([{ files: [] }]);
  expect(readdirSync(staging)).toEqual([]);
});

test("files that the agent made where a repository should go are not overwritten", async () => {
  repository(repo, { "a.txt": "a\n" });
  const { hand } = await provider.provision(request());
  await runTool(hand, "bash", { command: "mkdir 'my repo'; echo mine > 'my repo/mine.txt'" });
  await provider.provision(request(resource()));
  expect(steps.at(-1)?.error).toMatch(/mount_path \/workspace\/my repo is taken/);
  expect(await runTool(hand, "bash", { command: "cat 'my repo/mine.txt'" })).toBe("mine");
  expect(await provider.changes(session, [resource()])).toEqual([]);

  await runTool(hand, "bash", { command: "rm -r 'my repo'; mkdir -p skills; tee skills/s 'my repo' <<< mine" });
  const files = [{ path: "SKILL.md", executable: false, bytes: Buffer.from("x") }];
  const skill = { id: "skver_1", name: "s", path: "/workspace/skills/s", read: async () => files };
  for (let tries = 0; tries < 2; tries += 1) await provider.provision({ ...request(resource()), skills: [skill] });
  expect(await runTool(hand, "bash", { command: "cat 'my repo' skills/s" })).toBe("mine\nmine");
});

test("a repository as the whole workspace, and two side by side", async () => {
  repository(repo, { "a.txt": "a\n" });
  const two = [
    resource({ mount_path: "/workspace/x/one" }),
    resource({ id: "sesrsc_2", mount_path: "/workspace/two" }),
  ];
  const { hand } = await provider.provision(request(...two));
  expect(await runTool(hand, "bash", { command: "cat x/one/a.txt two/a.txt; echo b > two/a.txt" })).toBe("a\na");
  expect((await provider.changes(session, two)).map(({ files }) => files.length)).toEqual([0, 1]);

  const whole = resource({ mount_path: "/workspace" });
  const other = await provider.provision(provisionRequest("sesn_whole", { resources: [whole] }));
  expect(await runTool(other.hand, "bash", { command: "ls; echo b > a.txt" })).toBe("a.txt");
  expect(await provider.changes("sesn_whole", [whole])).toMatchObject([{ files: [{ path: "a.txt" }] }]);
  await provider.destroy("sesn_whole");
});

test("what cannot be attached is a step that says why; the sandbox works without it", async () => {
  const { hand } = await provider.provision(
    request(resource({ path: join(dataDir, "missing") }), resource({ id: "sesrsc_2", mount_path: "/etc/here" }), {
      id: "sesrsc_3",
      type: "github_repository",
      url: "https://github.com/a/b",
      mount_path: "/workspace/b",
      created_at: "",
      updated_at: "",
    }),
  );
  const errors = steps.flatMap(({ error }) => (error === null ? [] : [error]));
  expect(errors).toEqual([
    expect.stringMatching(/missing does not exist/),
    expect.stringMatching(/must be below \/workspace/),
    expect.stringMatching(/cannot be attached to an embedded sandbox here/),
  ]);
  // The contract has an error of its own for repositories that are named by their URL.
  expect(steps.flatMap((step) => step.repository ?? [])).toEqual([{ url: "https://github.com/a/b", problem: "clone" }]);
  expect(await runTool(hand, "bash", { command: "echo works" })).toBe("works");
});

test("a repository that appears later is attached by the next provisioning", async () => {
  await provider.provision(request(resource()));
  repository(repo, { "a.txt": "a\n" });
  const { hand } = await provider.provision(request(resource()));
  expect(await runTool(hand, "bash", { command: "cat 'my repo/a.txt'" })).toBe("a");
});

test("a link that the agent put in the way leads neither a file nor a skill out of the sandbox", async () => {
  const outside = join(dataDir, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "old.txt"), "old");
  const file = { id: "sesrsc_f", type: "file" as const, file_id: "file_1", mount_path: "/in/old.txt" };
  const attached = { ...file, created_at: "", updated_at: "" };
  const skill = { id: "skver_1", name: "s", path: "/workspace/skills/s" };
  const files = [{ path: "SKILL.md", executable: false, bytes: Buffer.from("x") }];
  const more = {
    resources: [attached],
    skills: [{ ...skill, read: async () => files }],
    readFile: async () => ({ filename: "x", bytes: Buffer.from("new") }),
  };
  await provider.provision(request());
  const { root } = layout();
  symlinkSync(outside, join(root, "mnt/session/uploads/in"));
  symlinkSync(outside, join(root, "workspace/skills"));
  await provider.provision({ ...request(), ...more });
  expect(steps.slice(-2).map(({ error }) => error)).toEqual([
    expect.stringMatching(/link or a file is in the way of \/mnt\/session\/uploads\/in/),
    expect.stringMatching(/link or a file is in the way of \/workspace\/skills/),
  ]);
  expect(readdirSync(outside)).toEqual(["old.txt"]);
  // The agent swaps a folder with an attached file for a link: what has that name elsewhere is not removed.
  rmSync(join(root, "mnt/session/uploads/in"));
  await provider.provision({ ...request(), ...more });
  rmSync(join(root, "mnt/session/uploads/in"), { recursive: true });
  symlinkSync(outside, join(root, "mnt/session/uploads/in"));
  await provider.provision({ ...request(), detached: [attached] });
  expect(readdirSync(outside)).toEqual(["old.txt"]);
});

test("nothing is known of a session that was never provisioned", async () => {
  expect(await provider.changes("sesn_never", [resource()])).toEqual([]);
  expect(await provider.callState("sesn_never", "sevt_1")).toBe("unknown");
  await provider.destroy("sesn_never");
  expect(existsSync(sandboxLayout(dataDir, "sesn_never").dir)).toBe(false);
});

test("a disk that takes no record of calls runs no command", async () => {
  const { hand } = await provider.provision(request());
  await runTool(hand, "bash", { command: "echo first > f.txt" });
  await rename(layout().calls, `${layout().calls}.aside`);
  writeFileSync(layout().calls, "not a folder");
  const refused = runTool(hand, "bash", { command: "echo second > f.txt" });
  await expect(refused).rejects.toBeInstanceOf(SandboxLost);
  await expect(refused).rejects.toThrow(/could not record the call, so it was not run/);
  rmSync(layout().calls);
  await rename(`${layout().calls}.aside`, layout().calls);
  expect(await runTool(hand, "bash", { command: "cat f.txt" })).toBe("first");
});

test.each([
  ["/data.csv", "/mnt/session/uploads/data.csv"],
  ["data.csv", "/mnt/session/uploads/data.csv"],
  ["/mnt/session/uploads/a/b", "/mnt/session/uploads/a/b"],
  ["/mnt/session/uploads/../../../etc/x", "/mnt/session/uploads/etc/x"],
  ["../../x", "/mnt/session/uploads/x"],
  ["", "/mnt/session/uploads/file_1"],
])("a file for %j is at %s", (mount_path, path) => {
  expect(uploadPath({ mount_path, file_id: "file_1" })).toBe(path);
});

test("a mount path that names no file is refused", () => {
  expect(() => uploadPath({ mount_path: "/mnt/session/uploads/", file_id: "f" })).toThrow(/must name a file/);
});

test("two files for one path: the second is told, nothing breaks", async () => {
  const file = { type: "file" as const, file_id: "file_1", created_at: "", updated_at: "" };
  const made = await provider.provision(
    provisionRequest(session, {
      resources: [
        { ...file, id: "sesrsc_1", mount_path: "/a" },
        { ...file, id: "sesrsc_2", mount_path: "/a/b" },
      ],
      onStep: (step) => steps.push(step),
      readFile: async () => ({ filename: "x", bytes: Buffer.from("x") }),
    }),
  );
  expect(steps.filter(({ error }) => error !== null)).toHaveLength(1);
  await failureOf(runTool(made.hand, "read", { file_path: "/mnt/session/uploads/a/b" }));
});
