/** Mounted stores of a real embedded sandbox: its host process, its shell and its tools. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MemoryKeeper } from "../../memory/keeper.ts";
import { MemoryBench } from "../../memory/testing/bench.ts";
import type { Hand, SandboxProvider } from "../../port.ts";
import { failureOf, provisionRequest, runTool } from "../../testing/bench.ts";
import { crash } from "../../testing/processes.ts";
import { sandboxLayout } from "../layout.ts";
import { hostRecord } from "../link/launch.ts";
import { embeddedProvider } from "../provider.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const session = "sesn_memory";
let dataDir: string;
let bench: MemoryBench;
let provider: SandboxProvider;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "longhaul-memory-"));
  bench = new MemoryBench();
  provider = open();
});
afterEach(async () => {
  await provider.destroy(session);
  await provider.close();
  await rm(dataDir, { recursive: true, force: true });
});

const open = () => embeddedProvider({ dataDir, hostEntry: join(import.meta.dirname, "../host.ts") });
const keeper = (interval_ms = 0) =>
  new MemoryKeeper({ source: bench.source, tell: (_, event) => bench.tell(event), interval_ms });

async function mounted(memory: MemoryKeeper, resources: ReturnType<MemoryBench["resource"]>[]): Promise<Hand> {
  const steps: (string | null)[] = [];
  const made = await provider.provision(
    provisionRequest(session, { resources, onStep: (step) => steps.push(step.error) }),
  );
  const fold = { session_id: session, resources };
  const hand = await memory.mounted(provider, fold, made.hand, (step) => steps.push(step.error));
  expect(steps.filter((error) => error !== null)).toEqual([]);
  return hand;
}

test("tools and shell work on a mount; nothing changes a read-only one", async () => {
  const notes = await bench.store({ "/plan.md": "plan\n" });
  const rules = await bench.store({ "/rules.md": "rules\n" }, "rules");
  const at = { mount_path: "/mnt/memory/rules", name: "rules", access: "read_only" };
  const hand = await mounted(keeper(), [bench.resource(notes), bench.resource(rules, at)]);
  expect(await runTool(hand, "read", { file_path: "/mnt/memory/notes/plan.md" })).toBe("plan\n");
  await runTool(hand, "edit", { file_path: "/mnt/memory/notes/plan.md", old_string: "plan", new_string: "new plan" });
  await runTool(hand, "write", { file_path: "/mnt/memory/notes/deep/er.md", content: "written" });
  await runTool(hand, "bash", {
    command: "cd /mnt/memory/notes && mkdir -p by && echo shell > by/bash.md && cat ../rules/rules.md",
  });
  await runTool(hand, "bash", { command: "python3 -c \"open('/mnt/memory/notes/by/python.md', 'w').write('py')\"" });
  expect(await bench.contents(notes)).toEqual({
    "/plan.md": "new plan\n",
    "/deep/er.md": "written",
    "/by/bash.md": "shell\n",
    "/by/python.md": "py",
  });
  const rule = "/mnt/memory/rules/rules.md";
  expect(await runTool(hand, "grep", { pattern: "rules", path: "/mnt/memory/rules" })).toContain("rules.md:1:rules");
  expect(await failureOf(runTool(hand, "write", { file_path: rule, content: "x" }))).toBe(
    `write: ${rule} is inside read-only directory /mnt/memory/rules`,
  );
  const edit = { file_path: rule, old_string: "rules", new_string: "x" };
  expect(await failureOf(runTool(hand, "edit", edit))).toMatch(/read-only directory/);
  for (const command of [
    `echo x > ${rule}`,
    "touch /mnt/memory/rules/new",
    `rm -f ${rule}; ls ${rule}.gone`,
    "rm -rf /mnt/memory/rules",
    "rm -rf /mnt/memory",
    "mv /mnt/memory /mnt/other",
    `python3 -c "open('${rule}', 'w').write('x')"`,
    `ln -s ${rule} /workspace/link && echo x > /workspace/link`,
    "ln -s ../mnt/memory/rules /workspace/folder; cd folder && echo x > rules.md; cp /dev/null rules.md; rm rules.md",
    "mkdir folder/new; ln -s x folder/x; mv folder/rules.md .; python3 -c \"open('folder/rules.md', 'w').write('x')\"",
    "ln -s ../mnt/memory/rules/new /workspace/dangling; echo x > dangling; echo x | tee -a folder/rules.md folder/new",
  ]) {
    // Forced removals end well although they removed nothing; what counts is what is there.
    await runTool(hand, "bash", { command }).catch(() => undefined);
    expect([command, await runTool(hand, "read", { file_path: rule })]).toEqual([command, "rules\n"]);
  }
  expect(await runTool(hand, "bash", { command: "ls -A /mnt/memory/rules" })).toBe("rules.md");
  expect(await bench.contents(rules)).toEqual({ "/rules.md": "rules\n" });
});

test("results tell what is not saved, failures too; rest saves what came between two looks", async () => {
  const notes = await bench.store({ "/a.md": "1" });
  const memory = keeper(60_000);
  const fold = { session_id: session, resources: [bench.resource(notes)] };
  const hand = await mounted(memory, fold.resources);
  await runTool(hand, "bash", { command: "cd /mnt/memory/notes; echo late > late.md; ln -s /etc/passwd link" });
  expect(await bench.contents(notes)).toEqual({ "/a.md": "1" });
  await memory.rest(provider, fold);
  expect(await bench.contents(notes)).toEqual({ "/a.md": "1", "/late.md": "late\n" });
  const told = await failureOf(runTool(hand, "bash", { command: "echo oops; false" }));
  expect(told).toBe(
    "oops\n\n[Memory: /mnt/memory/notes/link is not saved: it is a symbolic link, and only regular files are saved.]",
  );
  expect(await runTool(hand, "bash", { command: "echo fine" })).toBe("fine");
});

test("a new engine process saves at rest what the last one had not, without a call and with the sandbox's process dead", async () => {
  const notes = await bench.store({ "/a.md": "1", "/b.md": "2" });
  const fold = { session_id: session, resources: [bench.resource(notes)] };
  const hand = await mounted(keeper(60_000), fold.resources);
  await runTool(hand, "bash", { command: "cd /mnt/memory/notes; rm a.md; echo unsaved > new.md" });
  await provider.close();
  await crash(hostRecord(sandboxLayout(dataDir, session))?.pid);
  provider = open();
  await keeper().rest(provider, fold);
  expect(await bench.contents(notes)).toEqual({ "/b.md": "2", "/new.md": "unsaved\n" });
  const rows = await bench.versions.list(notes, { session_id: session }, { limit: 10 });
  expect(rows.map(({ operation }) => operation)).toEqual(["created", "deleted"]);
});

test("nothing is looked for in a session without stores, or without a sandbox", async () => {
  const memory = keeper();
  const store = await bench.store();
  await memory.rest(provider, { session_id: session, resources: [bench.resource(store)] });
  const { hand } = await provider.provision(provisionRequest(session));
  expect(await memory.mounted(provider, { session_id: session, resources: [] }, hand, () => undefined)).toBe(hand);
  const asked = vi.spyOn(provider, "memoryFiles");
  await memory.rest(provider, { session_id: session, resources: [] });
  expect(asked).not.toHaveBeenCalled();
  expect(bench.synced).toEqual([]);
});
