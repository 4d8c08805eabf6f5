/** Mounted stores of real containers. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MemoryKeeper } from "../../memory/keeper.ts";
import type { MemoryFiles, MountChange } from "../../memory/port.ts";
import { SessionMemory } from "../../memory/session_memory.ts";
import { MemoryBench } from "../../memory/testing/bench.ts";
import type { Hand, SandboxProvider } from "../../port.ts";
import { failureOf, runTool } from "../../testing/bench.ts";
import { type BareContainer, bareContainer } from "../resources/testing/bare_container.ts";
import { type Install, limitedRequest, newInstall } from "../testing/install.ts";
import { BUSYBOX_IMAGE } from "../testing/real_engine.ts";
import { DockerMemoryFiles } from "./memory_files.ts";

const sha = "a".repeat(64);

describe.each([undefined, BUSYBOX_IMAGE])("files of a container (%s)", (image) => {
  const bench = new MemoryBench();
  const notes = bench.mount("memstore_1");
  const rules = bench.mount("memstore_2", { path: "/mnt/memory/rules", read_only: true });
  let box: BareContainer;
  let files: MemoryFiles;
  beforeAll(async () => {
    box = await bareContainer(image === undefined ? {} : { image });
    files = new DockerMemoryFiles(() => Promise.resolve(box.container));
    await files.prepare([notes, rules]);
  });
  afterAll(() => box[Symbol.asyncDispose]());

  const scanned = async (mount = notes) => (await files.scan([notes, rules])).get(mount.path);
  const write = (path: string, content: string, expected: string | null | "any" = null): MountChange => ({
    op: "write",
    path,
    content,
    expected,
  });

  test("what is written is found and read again; what goes is gone with its empty folders", async () => {
    expect(await scanned()).toEqual({ files: new Map(), unfit: new Map(), gone: false, overflow: false });
    const odd = "/ü 'q\" $(x) back\\slash/-n  two ";
    const made = [write("/a/b/c.md", "c"), write(odd, "odd\0\n"), write("/empty", "")];
    expect(await files.apply(notes, made)).toEqual(new Map());
    const found = await scanned();
    expect([...(found?.files.keys() ?? [])].sort()).toEqual(["/a/b/c.md", "/empty", odd].sort());
    const contents = await files.read(notes, ["/a/b/c.md", "/none", odd, "/empty"]);
    expect([...contents].map(([path, bytes]) => [path, Buffer.from(bytes).toString()])).toEqual([
      ["/a/b/c.md", "c"],
      [odd, "odd\0\n"],
      ["/empty", ""],
    ]);
    const hash = found?.files.get("/a/b/c.md") ?? "";
    expect(await files.apply(notes, [write("/a/b/c.md", "new", sha), write("/empty", "x", null)])).toEqual(
      new Map([
        ["/a/b/c.md", "changed"],
        ["/empty", "changed"],
      ]),
    );
    expect(
      await files.apply(notes, [{ op: "remove", path: "/a/b/c.md", expected: hash }, write("/a", "file now")]),
    ).toEqual(new Map());
    expect(
      await box.sh("cat /mnt/memory/notes/a; echo mine >> /mnt/memory/notes/a; ls /var/lib/longhaul-resources"),
    ).toBe("file nowmarkers\nscratch\n");
  });

  test("links, pipes and what cannot be read are told and neither followed nor waited for", async () => {
    await box.sh(`cd /mnt/memory/notes && mkdir out && echo s > /workspace/secret && ln -s /workspace/secret link &&
ln -s /workspace away && mkfifo pipe && head -c 102401 /dev/zero > big && head -c 102400 /dev/zero > most &&
mkdir locked && echo l > locked/in && chmod 000 locked && echo x > "$(printf 'line\\nend')" && echo x > "$(printf 'caf\\351')"`);
    const found = await scanned();
    expect(found?.files.has("/most")).toBe(true);
    expect(Object.fromEntries(found?.unfit ?? [])).toEqual({
      "/link": "link",
      "/away": "link",
      "/pipe": "special",
      "/big": "too_large",
      "/locked": "unreadable",
      "/…": "bad_name",
      "/caf\ufffd": "bad_name",
    });
    expect((await files.read(notes, ["/link", "/pipe", "/big"])).size).toBe(0);
    const blocked = [write("/link", "x", sha), write("/away/x", "x"), write("/pipe/x", "x"), write("/out", "x")];
    expect([...(await files.apply(notes, blocked)).values()]).toEqual(["blocked", "blocked", "blocked", "blocked"]);
    expect(await box.sh("cat /workspace/secret; ls /workspace")).toBe("s\nsecret\n");
  });

  test("a read-only mount is root's: the agent changes nothing in it, the store does", async () => {
    await files.apply(rules, [write("/a.md", "a", "any"), write("/deep/er/b.md", "b", "any")]);
    const tried = `cd /mnt/memory/rules; for c in 'echo x > a.md' 'rm -f a.md' 'touch new' 'mv deep other' 'chmod 777 .' 'rm -rf deep' 'ln -s / link' \
'mv /mnt/memory/rules /mnt/memory/r' 'rmdir /mnt/memory/notes' 'ln -s / /mnt/memory/x'; do sh -c "$c" 2>/dev/null && echo "worked: $c"; done
cat a.md deep/er/b.md; stat -c '%a %u' . a.md deep`;
    expect(await box.sh(tried)).toBe("ab555 0\n444 0\n555 0\n");
    await files.apply(rules, [
      { op: "remove", path: "/deep/er/b.md", expected: "any" },
      write("/deep", "now a file", "any"),
    ]);
    expect([...((await scanned(rules))?.files.keys() ?? [])].sort()).toEqual(["/a.md", "/deep"]);
    expect(await box.sh("cd /mnt/memory/rules; cat deep; stat -c '%a %u' . deep")).toBe("now a file555 0\n444 0\n");
  });

  test("what is kept is the last whole text, and the agent cannot change it", async () => {
    expect(await files.kept("memstore_1")).toBeNull();
    for (const text of ["one", "two", "three"]) await files.keep("memstore_1", text);
    const again = new DockerMemoryFiles(() => Promise.resolve(box.container));
    expect(await again.kept("memstore_1")).toBe("three");
    await again.keep("memstore_1", "four");
    expect(await files.kept("memstore_1")).toBe("four");
    const folder = "/var/lib/longhaul-resources/memory";
    expect(await box.sh(`cd ${folder}; echo x > memstore_1.0 || rm -f memstore_1.0 || echo refused; true`)).toBe(
      "refused\n",
    );
  });

  test("a memory with a name that no file takes holds up no other", async () => {
    const store = await bench.store({ [`/${"x".repeat(256)}/in.md`]: "long", "/y.md": "y" });
    const mount = bench.mount(store, { path: "/mnt/memory/long", read_only: true });
    const memory = new SessionMemory({
      ...{ session_id: "sesn_long", mounts: [mount], files, source: bench.source, tell: bench.tell },
      interval_ms: 0,
    });
    const steps: (string | null)[] = [];
    await memory.mount((step) => steps.push(step.error));
    memory.begin();
    expect(await memory.afterCall()).toEqual([expect.stringMatching(/one of its names is too long for a file/)]);
    expect([steps, await box.sh("ls /mnt/memory/long")]).toEqual([[null], "y.md\n"]);
  });

  test("more files than are looked through are told as such", async () => {
    await box.sh(
      "mkdir /mnt/memory/notes/many; cd /mnt/memory/notes/many; i=0; while [ $i -le 4000 ]; do : > $i; i=$((i+1)); done",
    );
    expect(await scanned()).toMatchObject({ overflow: true });
  });
});

describe("a session", () => {
  const session = "sesn_memory";
  let install: Install;
  beforeAll(async () => {
    install = await newInstall();
  });
  afterAll(() => install.remove());

  async function mounted(
    bench: MemoryBench,
    provider: SandboxProvider,
    resources: ReturnType<MemoryBench["resource"]>[],
    had = false,
  ) {
    const memory = new MemoryKeeper({ source: bench.source, tell: (_, event) => bench.tell(event), interval_ms: 0 });
    const errors: (string | null)[] = [];
    const request = limitedRequest(session, { resources, had_sandbox: had, onStep: (step) => errors.push(step.error) });
    const made = await provider.provision(request);
    const fold = { session_id: session, resources };
    const hand: Hand = await memory.mounted(provider, fold, made.hand, (step) => errors.push(step.error));
    expect(errors.filter((error) => error !== null)).toEqual([]);
    return { memory, hand, how: made.how, rest: () => memory.rest(provider, fold) };
  }

  test("keeps stores and mounts equal, through the container's death and a rebuild from an old copy", async () => {
    const bench = new MemoryBench();
    const notes = await bench.store({ "/plan.md": "plan\n", "/drop.md": "drop\n" });
    const rules = await bench.store({ "/rules.md": "rules\n" }, "rules");
    const ro = { mount_path: "/mnt/memory/rules", name: "rules", access: "read_only" };
    const resources = [bench.resource(notes), bench.resource(rules, ro)];
    const first = await mounted(bench, install.open(), resources);
    const { hand } = first;
    const plan = { file_path: "/mnt/memory/notes/plan.md" };
    await runTool(hand, "edit", { ...plan, old_string: "plan", new_string: "better plan" });
    await runTool(hand, "write", { file_path: "/mnt/memory/notes/deep/er.md", content: "written" });
    await failureOf(runTool(hand, "write", { file_path: "/mnt/memory/rules/rules.md", content: "x" }));
    await failureOf(runTool(hand, "bash", { command: "echo x > /mnt/memory/rules/rules.md" }));
    expect(
      await runTool(hand, "bash", { command: "cd /mnt/memory/notes; echo bash > bash.md; cat ../rules/rules.md" }),
    ).toBe("rules");
    expect(await bench.contents(notes)).toEqual({
      "/plan.md": "better plan\n",
      "/drop.md": "drop\n",
      "/deep/er.md": "written",
      "/bash.md": "bash\n",
    });
    await bench.write(notes, "/plan.md", "a person's plan\n");
    await runTool(hand, "bash", { command: "echo look" });
    expect(await runTool(hand, "read", plan)).toBe("a person's plan\n");

    // The copy has the files of now; what comes after it is in the store only.
    const provider = install.open();
    const second = await mounted(bench, provider, resources, true);
    await runTool(second.hand, "bash", { command: "echo before" });
    expect((await provider.checkpoint(session))?.size_bytes).toBeGreaterThan(0);
    await runTool(second.hand, "bash", {
      command: "cd /mnt/memory/notes; echo after > after.md; rm drop.md; echo changed > bash.md",
    });
    await second.rest();
    const saved = await bench.contents(notes);
    expect(saved).toEqual({
      "/plan.md": "a person's plan\n",
      "/deep/er.md": "written",
      "/after.md": "after\n",
      "/bash.md": "changed\n",
    });

    // Killed: the files stay, and what had not been saved is saved by the next process without a call.
    await runTool(second.hand, "bash", {
      command: "sleep 1; (sleep 0.2; echo unsaved > /mnt/memory/notes/late.md) & sleep 0.6",
    });
    await install.kill(session);
    const other = install.open();
    const memory = new MemoryKeeper({ source: bench.source, tell: (_, event) => bench.tell(event), interval_ms: 0 });
    await memory.rest(other, { session_id: session, resources });
    expect(await bench.contents(notes)).toEqual({ ...saved, "/late.md": "unsaved\n" });

    for (const { Id } of await install.containers(session))
      await install.docker.getContainer(Id).remove({ force: true });
    const third = await mounted(bench, install.open(), resources, true);
    expect(third.how).toBe("restored");
    await third.rest();
    expect(await bench.contents(notes)).toEqual({ ...saved, "/late.md": "unsaved\n" });
    expect(
      await runTool(third.hand, "bash", {
        command: "cd /mnt/memory/notes; cat after.md bash.md late.md; ls drop.md 2>&1 || true",
      }),
    ).toMatch(/^after\nchanged\nunsaved\nls: .*drop\.md/);
  });
});
