import { describe, expect, it } from "vitest";
import type { LonghaulEventOf, SandboxOrigin } from "../../../main/contract/events.ts";
import { collectMarks } from "../../overview/marks.ts";
import { sandboxStory } from "../../overview/sandbox_marks.ts";
import { buildTimeline } from "../append.ts";
import type { NoticeRow, SandboxRow } from "../row.ts";
import { LogBuilder } from "../testing/log_builder.ts";
import type { Timeline } from "../timeline.ts";

const START = Date.parse("2026-11-22T14:00:00.000Z");

/** A turn whose first call needs the sandbox. */
function begun(): { builder: LogBuilder; span: string; call: string } {
  const builder = new LogBuilder("sesn_000001", START).create().turn("go");
  const span = builder.request();
  const [call = ""] = builder.wait(900).answer(span, { calls: [{ name: "bash", input: { command: "make" } }] });
  return { builder, span, call };
}

function provisioning(builder: LogBuilder, cause: SandboxRow["cause"] = "first_tool_call"): string {
  return builder.add({ type: "longhaul.sandbox_provisioning", provider: "docker", cause });
}

function step(builder: LogBuilder, text: string, ms: number, error: string | null = null): void {
  builder.wait(ms).add({ type: "longhaul.sandbox_step", step: text, duration_ms: ms, error });
}

function ready(builder: LogBuilder, how: SandboxOrigin, notice: string | null = null): void {
  const adopted = how === "adopted";
  builder.add({ type: "longhaul.sandbox_ready", provider: "docker", duration_ms: 5, adopted, how, notice });
}

function lost(builder: LogBuilder, reason: string): string {
  return builder.add({ type: "longhaul.sandbox_lost", provider: "docker", reason });
}

const sandboxes = (timeline: Timeline): SandboxRow[] =>
  [...timeline.rows.values()].filter((row) => row.kind === "sandbox");
const notices = (timeline: Timeline, code: NoticeRow["code"]): NoticeRow[] =>
  [...timeline.rows.values()].filter((row): row is NoticeRow => row.kind === "notice" && row.code === code);

describe("provisioning", () => {
  it("is one row with its steps, under the request that needed it", () => {
    const { builder, span } = begun();
    provisioning(builder);
    step(builder, "Pull the image", 3000);
    step(builder, "Start the container", 400);
    ready(builder, "created");
    expect(sandboxes(buildTimeline(builder.events))).toMatchObject([
      {
        state: "ready",
        how: "created",
        parent: span,
        what: "Docker container ready",
        end: builder.now,
        steps: [
          { step: "Pull the image", durationMs: 3000, error: null },
          { step: "Start the container", durationMs: 400, error: null },
        ],
      },
    ]);
  });

  it("that fails tells why in one row, and is not called a loss", () => {
    const { builder } = begun();
    provisioning(builder);
    step(builder, "Pull the image", 900, "the registry does not know it");
    lost(builder, "the registry does not know it");
    const timeline = buildTimeline(builder.events);
    expect(sandboxes(timeline)).toMatchObject([
      {
        state: "failed",
        what: "Pull the image: the registry does not know it",
        reason: "the registry does not know it",
      },
    ]);
    expect(notices(timeline, "sandbox_lost")).toEqual([]);
  });

  it("without any step that fails is told so too", () => {
    const { builder } = begun();
    provisioning(builder);
    lost(builder, "No container engine answers.");
    expect(sandboxes(buildTimeline(builder.events))).toMatchObject([
      { state: "failed", what: "Could not get the Docker container", reason: "No container engine answers." },
    ]);
  });

  it("ends where its process ended, and a later one is a row of its own, outside the old request", () => {
    const { builder } = begun();
    provisioning(builder);
    step(builder, "Pull the image", 800);
    const died = builder.iso();
    builder.wait(60_000).wake("engine_start", 5000, "lhh_4121");
    builder.add({
      type: "longhaul.cut_off",
      cause: "engine_died",
      last_event_at: died,
      noticed_at: builder.iso(),
      calls_in_flight: [],
      model_request_in_flight: null,
    });
    provisioning(builder);
    const rows = sandboxes(buildTimeline(builder.events));
    expect(rows).toMatchObject([
      { state: "cut_off", end: Date.parse(died) },
      { state: "provisioning", end: null, parent: null },
    ]);
  });
});

describe("what became of it", () => {
  it.each([
    ["adopted", "Took the Docker container on again: it had stayed alive"],
    ["restarted", "Started the Docker container again, with its files"],
    ["restored", "Rebuilt the Docker container from its last checkpoint"],
  ] as const)("%s", (how, what) => {
    const { builder } = begun();
    provisioning(builder);
    ready(builder, how, how === "adopted" ? null : "Processes are gone.");
    const notice = how === "adopted" ? null : "Processes are gone.";
    expect(sandboxes(buildTimeline(builder.events))).toMatchObject([{ how, what, notice }]);
  });

  it("reads events of older versions, which say only whether it was adopted", () => {
    const { builder } = begun();
    provisioning(builder);
    builder.add({ type: "longhaul.sandbox_ready", provider: "embedded", duration_ms: 5, adopted: true });
    expect(sandboxes(buildTimeline(builder.events))).toMatchObject([{ how: "adopted", notice: null }]);
  });

  it("loss and replacement stand in the order in which they happened", () => {
    const { builder, span, call } = begun();
    provisioning(builder);
    ready(builder, "created");
    builder.start(call).wait(500);
    const gone = lost(builder, "It ran out of memory.");
    provisioning(builder, "replaced");
    ready(builder, "restored", "Files since the checkpoint are gone.");
    const timeline = buildTimeline(builder.events);
    const kinds = timeline.children.get(span)?.map((id) => timeline.rows.get(id)?.what);
    expect(kinds).toEqual([
      "make",
      "Docker container ready",
      "The Docker container is gone: It ran out of memory.",
      "Rebuilt the Docker container from its last checkpoint",
    ]);
    expect(timeline.rows.get(gone)).toMatchObject({ tone: "bad", lane: "sandbox" });
  });

  it("a checkpoint is quiet, and one that failed says what that means", () => {
    const { builder } = begun();
    const checkpoint = { type: "longhaul.sandbox_checkpoint" as const, provider: "docker", duration_ms: 700 };
    builder.add({ ...checkpoint, checkpoint: "copy:1", size_bytes: 96_000_000, error: null });
    builder.add({ ...checkpoint, checkpoint: null, size_bytes: 0, error: "no space left" });
    expect(notices(buildTimeline(builder.events), "checkpoint")).toMatchObject([
      { tone: "quiet", detail: "96\u00a0MB", at: builder.now - 700, end: builder.now },
      { tone: "note", detail: "no space left", what: expect.stringContaining("lost") },
    ]);
  });
});

it("memory says what was saved and brought in, conflicts and failures stand out", () => {
  const { builder } = begun();
  const counts = { written: 0, deleted: 0, updated: 0, conflicts: 0 };
  const synced = {
    type: "longhaul.memory_synced" as const,
    memory_store_id: "memstore_1",
    mount_path: "/mnt/memory/n",
  };
  builder.add({ ...synced, ...counts, written: 1, updated: 2, error: null });
  builder.add({ ...synced, ...counts, written: 2, deleted: 3, conflicts: 1, error: null });
  builder.add({ ...synced, ...counts, error: "disk full" });
  expect(notices(buildTimeline(builder.events), "memory")).toMatchObject([
    { tone: "quiet", what: "Memory at /mnt/memory/n: 1\u00a0memory saved, 2\u00a0files brought in" },
    {
      tone: "note",
      what: "Memory at /mnt/memory/n: 2\u00a0memories saved, 3 deleted, 1\u00a0conflict: both versions were kept",
    },
    { tone: "bad", what: "Memory at /mnt/memory/n could not be saved", detail: "disk full" },
  ]);
});

describe("the lane", () => {
  const shapes = (builder: LogBuilder, running: boolean): string[] =>
    collectMarks(buildTimeline(builder.events), builder.now, running)
      .marks.filter((mark) => mark.lane === "sandbox")
      .sort((a, b) => a.from - b.from)
      .map((mark) => `${mark.shape} ${mark.tone}`);

  it("lives only while the engine works on the session", () => {
    const { builder } = begun();
    provisioning(builder);
    builder.wait(5000);
    expect(shapes(builder, true)).toEqual(["bar live"]);
    expect(shapes(builder, false)).toEqual(["bar quiet"]);
  });

  it("is a line from ready to lost, a cross, and a new line", () => {
    const { builder } = begun();
    provisioning(builder);
    step(builder, "Pull the image", 3000);
    step(builder, "Start it", 500);
    ready(builder, "created");
    builder.wait(9000);
    lost(builder, "removed");
    builder.wait(10);
    provisioning(builder, "replaced");
    builder.wait(2000);
    ready(builder, "restored");
    builder.wait(4000).idle();
    expect(shapes(builder, false)).toEqual(["bar plain", "line quiet", "cross bad", "bar plain", "line quiet"]);
    const { marks } = collectMarks(buildTimeline(builder.events), builder.now, false);
    expect(marks.find((mark) => mark.shape === "bar" && mark.lane === "sandbox")?.ticks).toHaveLength(1);
    expect(sandboxStory(buildTimeline(builder.events)).join()).toMatch(/lost at .*restored at/);
  });

  it("goes on through the death of an engine when it was adopted, and ends at the last sign of life when it was not", () => {
    const span = (how: SandboxOrigin): number[][] => {
      const { builder, call } = begun();
      provisioning(builder);
      ready(builder, "created");
      builder.start(call).wait(3000).result(call, "ok");
      const seen = builder.now;
      builder.wait(60_000).wake("engine_start", 5000);
      provisioning(builder);
      builder.wait(800);
      ready(builder, how);
      builder.wait(1000);
      const { marks } = collectMarks(buildTimeline(builder.events), builder.now, false);
      return marks
        .filter((mark) => mark.lane === "sandbox" && mark.shape === "line")
        .map((mark) => [mark.from - START, mark.to - seen]);
    };
    expect(span("adopted")).toEqual([[903, 61_800]]);
    expect(span("restarted")).toEqual([
      [903, 0],
      [expect.any(Number), 61_800],
    ]);
  });
});

describe("the network", () => {
  const egress = (builder: LogBuilder, host: string, decision: "allowed" | "denied", count: number): string =>
    builder.add({ type: "longhaul.egress", host, port: 443, decision, reason: "not allowed here", count });

  it("is quiet where it lets through and visible where it refuses; one row per host, decision and turn", () => {
    const { builder } = begun();
    egress(builder, "pypi.org", "allowed", 3);
    egress(builder, "evil.example", "denied", 1);
    egress(builder, "evil.example", "denied", 4);
    egress(builder, "pypi.org", "denied", 1);
    builder.idle().turn("more");
    egress(builder, "evil.example", "denied", 1);
    const rows = notices(buildTimeline(builder.events), "egress");
    expect(rows.map((row) => [row.tone, row.what, row.detail.replaceAll("\u00a0", " ")])).toEqual([
      ["quiet", "Connected to pypi.org", "not allowed here · 3 connections"],
      ["bad", "Refused evil.example: not allowed here", "5 connections"],
      ["bad", "Refused pypi.org: not allowed here", ""],
      ["bad", "Refused evil.example: not allowed here", ""],
    ]);
  });

  it("that is told of after the turn stands in the turn, not in its last request", () => {
    const { builder } = begun();
    builder.idle();
    const id = builder.add({
      type: "longhaul.egress",
      host: "evil.example",
      port: 443,
      decision: "denied",
      reason: "The host evil.example is not allowed.",
      count: 1,
    });
    const row = buildTimeline(builder.events).rows.get(id);
    expect(row).toMatchObject({ parent: null, turn: 1, what: "Refused: The host evil.example is not allowed." });
  });

  it("shows what a host name hides", () => {
    const { builder } = begun();
    const id = egress(builder, "moc.\u202Eevil", "denied", 1);
    expect(buildTimeline(builder.events).rows.get(id)?.what).toContain("[U+202E]");
  });
});

describe("stored credentials", () => {
  const used = (builder: LogBuilder, over: Partial<LonghaulEventOf<"longhaul.credential_used">> = {}): string =>
    builder.add({
      type: "longhaul.credential_used",
      vault_id: "vlt_1",
      credential_id: "vcrd_1",
      route: "mcp",
      host: "mcp.example.com",
      decision: "allowed",
      reason: "tools/call",
      count: 1,
      ...over,
    });

  it("are told in plain words: quiet where used, visible where refused; one row each for a turn", () => {
    const { builder } = begun();
    used(builder, { count: 2 });
    used(builder, { route: "git", host: "github.com", reason: "fetch" });
    used(builder);
    used(builder, {
      route: "egress",
      host: "moc.\u202Eevil",
      decision: "refused",
      reason: "the host is not one of its own",
    });
    builder.idle().turn("more");
    used(builder);
    const rows = notices(buildTimeline(builder.events), "credential");
    expect(rows.map((row) => [row.tone, row.what, row.detail])).toEqual([
      ["quiet", "Used the stored sign-in at mcp.example.com", "tools/call · 3 times"],
      ["quiet", "Used the repository token at github.com", "fetch"],
      ["bad", "Did not use a stored secret at moc.[U+202E]evil: the host is not one of its own", ""],
      ["quiet", "Used the stored sign-in at mcp.example.com", "tools/call"],
    ]);
  });
});

describe("files", () => {
  it("on their way in and out are told, with what could not be stored", () => {
    const { builder } = begun();
    const resource = { id: "sesrsc_1", type: "file" as const, file_id: "file_1", mount_path: "/mnt/session/uploads/a" };
    builder.add({ type: "longhaul.resource_added", resource: { ...resource, created_at: "", updated_at: "" } });
    builder.add({ type: "longhaul.resource_removed", resource_id: "sesrsc_1" });
    const file = { file_id: "file_2", size_bytes: 1 };
    const skip = { path: "big", reason: "It is too large." };
    builder.add({ type: "longhaul.outputs_stored", count: 1, files: [{ ...file, path: "g\u202Eo.md" }], skipped: [] });
    builder.add({ type: "longhaul.outputs_stored", count: 2, files: [{ ...file, path: "a" }], skipped: [skip] });
    builder.add({ type: "longhaul.outputs_stored", count: 0, files: [], skipped: [skip] });
    expect(
      notices(buildTimeline(builder.events), "files").map(({ tone, what, detail }) => [tone, what, detail]),
    ).toEqual([
      ["quiet", "A file was attached at /mnt/session/uploads/a", ""],
      ["quiet", "A resource was taken away from the session", "sesrsc_1"],
      ["quiet", "Stored the output g[U+202E]o.md", "g[U+202E]o.md"],
      ["note", "Stored 2 outputs", "big: It is too large."],
      ["note", "Could not store big", "big: It is too large."],
    ]);
  });

  it("that are brought into a sandbox at work are no new sandbox", () => {
    const { builder } = begun();
    provisioning(builder);
    ready(builder, "created");
    provisioning(builder, "resources_changed");
    expect(sandboxes(buildTimeline(builder.events)).at(-1)?.what).toMatch(/^Bringing changed resources into the /);
  });
});
