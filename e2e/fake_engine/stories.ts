/** Recorded-looking sessions for looking at the interface: each shows something that is hard to bring about on purpose. */
import { type LogBuilder, sampleSnapshot } from "../../renderer/timeline/testing/log_builder.ts";

import { adopted, delivered, refused, replaced, unavailable } from "./sandbox_stories.ts";

export type Story = (builder: LogBuilder) => void;

const TEST_OUTPUT = `
 RUN  v5.1.1 /workspace

 \u001b[31m❯\u001b[39m src/ledger.test.ts (12 tests | \u001b[31m1 failed\u001b[39m) 412ms
   \u001b[32m✓\u001b[39m appends in order
   \u001b[32m✓\u001b[39m refuses a stale lease
   \u001b[31m×\u001b[39m group commit shares one transaction
     → expected 2 to be 1

 Test Files  1 failed (1)
      Tests  1 failed | 11 passed (12)
exit 1`;

const REPORT = `The test was flaky because \`flush()\` read the queue **after** awaiting the timer.

- \`src/ledger.ts\`: the batch is now taken before the first await (+4 −2)
- \`src/ledger.test.ts\`: the test waits for the commit instead of 50 ms

| run | before | after |
|---|---|---|
| 200 × \`npm test -- ledger\` | 9 failures | 0 failures |

Nothing else was changed. Left open: the same pattern is in \`src/blobs.ts\`, but there it is harmless.`;

function repository(builder: LogBuilder, title: string, path: string): void {
  const snapshot = sampleSnapshot(builder.sessionId);
  builder.create({
    ...snapshot,
    title,
    resources: [
      {
        id: "sesrsc_01",
        type: "local_repository",
        path,
        mount_path: `/workspace/${path.split("/").at(-1)}`,
        checkout: null,
        include_uncommitted: true,
        created_at: builder.iso(),
        updated_at: builder.iso(),
      },
    ],
  });
}

function provision(builder: LogBuilder, cause: "first_tool_call" | "replaced" = "first_tool_call"): void {
  builder.add({ type: "longhaul.sandbox_provisioning", provider: "embedded", cause });
  builder
    .wait(140)
    .add({ type: "longhaul.sandbox_step", step: "Copy 214 files of app", duration_ms: 138, error: null });
  builder.wait(30).add({ type: "longhaul.sandbox_step", step: "Start the shell", duration_ms: 28, error: null });
  builder.add({ type: "longhaul.sandbox_ready", provider: "embedded", duration_ms: 171, adopted: false });
}

/** Looks, edits, tests: the part that several stories begin with. */
function work(builder: LogBuilder): void {
  let span = builder.request(1);
  const [glob = "", grep = ""] = builder.wait(2100).answer(span, {
    text: "I'll look at the failing test first.",
    thinking:
      "The test is called ledger. I should look at the tests before I run them, so that I know what a pass means.",
    calls: [
      { name: "glob", input: { pattern: "src/**/*.test.ts" } },
      { name: "grep", input: { pattern: "group commit", path: "/workspace/src" } },
    ],
  });
  provision(builder);
  builder.start(glob).start(grep).wait(12).result(glob, "/workspace/src/ledger.test.ts\n/workspace/src/blobs.test.ts");
  builder.wait(5).result(grep, "src/ledger.test.ts:41:  it('group commit shares one transaction', async () => {");
  span = builder.wait(4).request(4);
  const [read = "", bash = ""] = builder.wait(2600).answer(span, {
    text: "Reading the failing test and running it.",
    calls: [
      { name: "read", input: { file_path: "/workspace/src/ledger.test.ts", view_range: [30, 80] } },
      { name: "bash", input: { command: "npm test -- ledger" } },
    ],
    usage: { input_tokens: 60, output_tokens: 210, cache_read_input_tokens: 6400, cache_creation_input_tokens: 900 },
  });
  builder
    .start(read)
    .start(bash)
    .wait(3)
    .result(read, "it('group commit shares one transaction', async () => {\n".repeat(38));
  builder.wait(4197).result(bash, TEST_OUTPUT, true);
}

function finish(builder: LogBuilder): void {
  let span = builder.wait(5).request(8);
  const [edit = "", second = ""] = builder.wait(5400).answer(span, {
    text: "`flush()` awaits before it takes the batch. Taking it first fixes the race.",
    thinking: "The queue is read after the timer. Two appends can land in different flushes.",
    calls: [
      {
        name: "edit",
        input: {
          file_path: "/workspace/src/ledger.ts",
          old_string: "  await tick();\n  const batch = queue.splice(0);",
          new_string: "  const batch = queue.splice(0);\n  if (batch.length === 0) return;\n  await tick();",
        },
      },
      {
        name: "bash",
        input: { command: "for i in $(seq 200); do npm test -- ledger --silent || echo FAIL; done | sort | uniq -c" },
      },
    ],
    usage: { input_tokens: 40, output_tokens: 388, cache_read_input_tokens: 9300, cache_creation_input_tokens: 1100 },
  });
  builder.start(edit).wait(3).result(edit, "edited /workspace/src/ledger.ts (1 replacement)");
  builder.start(second).wait(96_000).result(second, "    200 ok");
  span = builder.wait(6).request(11);
  builder.wait(4100).answer(span, {
    text: REPORT,
    usage: { input_tokens: 50, output_tokens: 262, cache_read_input_tokens: 10_800, cache_creation_input_tokens: 400 },
  });
  builder.wait(3).idle();
}

/** Done, after a night in which the machine slept. */
const slept: Story = (builder) => {
  repository(builder, "Fix the flaky ledger test", "/home/ada/projects/app");
  builder
    .wait(1500)
    .turn(
      "Fix the flaky test in src/ledger.test.ts.\n\nIt fails about once in twenty runs on CI. Find the cause; do not add a retry.",
    );
  work(builder);
  const before = builder.iso();
  builder.wait(20_160_000);
  builder.add({ type: "longhaul.sleep_gap", from: before, to: builder.iso(), seconds: 20_160 });
  finish(builder);
  builder.wait(3_600_000).turn("Thanks. Does src/blobs.ts have the same problem?");
  const span = builder.request(13);
  const [read = ""] = builder.wait(1400).answer(span, {
    calls: [{ name: "read", input: { file_path: "/workspace/src/blobs.ts" } }],
    usage: { input_tokens: 40, output_tokens: 90, cache_read_input_tokens: 11_200, cache_creation_input_tokens: 320 },
  });
  builder.start(read).wait(2).result(read, "export async function put(bytes) {\n  …\n}\n".repeat(20));
  builder.wait(1900).answer(builder.wait(4).request(15), {
    text: "No. `put()` awaits before it reads shared state, but nothing else writes that state, so the order cannot matter. I would leave it.",
  });
  builder.idle();
};

/** Cut off by a dead engine: one call collected, one whose outcome nobody knows; not resumed. */
const cutOff: Story = (builder) => {
  repository(builder, "Migrate the billing tables", "/home/ada/projects/billing");
  builder.turn("Write and run the migration for the invoices table, then post the summary to the staging webhook.");
  work(builder);
  const span = builder.request(8);
  const [migrate = "", post = ""] = builder.wait(3100).answer(span, {
    text: "The migration is ready. Running it, and posting the summary.",
    calls: [
      { name: "bash", input: { command: "node migrate.js --database staging --step 4" } },
      { name: "bash", input: { command: "curl -sS -X POST https://hooks.staging.example/summary -d @summary.json" } },
    ],
  });
  builder.start(migrate).start(post).wait(8000);
  const died = builder.iso();
  builder.wait(312_000).wake("engine_start", 5210, "lhh_4121");
  builder.add({
    type: "longhaul.cut_off",
    cause: "engine_died",
    last_event_at: died,
    noticed_at: builder.iso(),
    calls_in_flight: [migrate, post],
    model_request_in_flight: null,
  });
  builder.add({ type: "session.status_running" });
  builder.start(migrate, 2).start(post, 2).wait(30).result(migrate, "step 4 of 4 done\n312 rows migrated");
  builder.add({ type: "longhaul.call_settled", tool_use_id: migrate, how: "collected" });
  const text = "The run was cut off; it may or may not have taken effect. Inspect the state before repeating.";
  builder.result(post, text, true);
  builder.add({ type: "longhaul.call_settled", tool_use_id: post, how: "outcome_unknown" });
  builder.add({ type: "longhaul.outcome_unknown", tool_use_id: post, tool_name: "bash", message: text });
  builder.wait(20).request(11);
};

/** Waits for two approvals. */
const asking: Story = (builder) => {
  repository(builder, "Release 2.4 to the package registry", "/home/ada/projects/widgets");
  builder.turn("Prepare the 2.4 release: bump the version, write the changelog, publish a dry run.");
  work(builder);
  const calls = builder.wait(2300).answer(builder.request(8), {
    text: "The version and the changelog are ready to be written; then a dry run of the publication.",
    calls: [
      {
        name: "edit",
        ask: true,
        input: {
          file_path: "/workspace/widgets/package.json",
          old_string: '  "version": "2.3.1",',
          new_string: '  "version": "2.4.0",',
        },
      },
      { name: "bash", ask: true, input: { command: "npm pack --dry-run && npm publish --dry-run" } },
    ],
  });
  builder.asks(calls);
};

/** The endpoint is overloaded; the third retry is planned. */
const retrying: Story = (builder) => {
  builder.create({ title: "Port the parser to v2" }).turn("Port the parser to the v2 grammar.");
  work(builder);
  for (const attempt of [1, 2, 3]) {
    const span = builder.request(8);
    builder.wait(900).add({ type: "longhaul.model_request_abandoned", model_request_start_id: span, cause: "failed" });
    const usage = { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
    builder.add({ type: "span.model_request_end", model_request_start_id: span, is_error: true, model_usage: usage });
    const message = "The model endpoint is overloaded (529).";
    builder.add({
      type: "session.error",
      error: { type: "model_overloaded_error", message, retry_status: { type: "retrying" } },
    });
    const wait = attempt === 3 ? 600_000 : 2000 * attempt;
    const at = builder.iso(wait);
    builder.add({
      type: "longhaul.retry_scheduled",
      attempt,
      at,
      error_type: "model_overloaded_error",
      waits_for_network: false,
    });
    builder.add({ type: "session.status_rescheduled" });
    builder.rest("rescheduled");
    if (attempt < 3) builder.wait(wait).wake("retry", 4121);
  }
};

/** Everything that a hostile model or program may print. */
const hostile: Story = (builder) => {
  builder.create({ title: '<img src=x onerror="alert(1)"> \u202Egnp.exe' });
  builder.turn("<script>document.title='owned'</script>\n<b>not bold</b>");
  const [bash = "", wide = ""] = builder.wait(900).answer(builder.request(), {
    text: 'Look: <iframe src="https://evil.example"></iframe> ![pixel](https://evil.example/p.png) [click](javascript:alert(1))',
    calls: [
      { name: "bash", input: { command: "printf '\\033]0;evil\\007'; cat bomb.txt" } },
      { name: "very_long_tool_name_that_does_not_fit_its_column", input: { deep: { nested: [1, 2, { x: "y" }] } } },
    ],
  });
  builder.start(bash).start(wide).wait(40);
  builder.result(
    bash,
    `\u001b]0;evil\u0007\u001b[31mred\u001b[0m ${"x".repeat(50_000)}\u0000\n${"line\n".repeat(3000)}`,
  );
  builder.add({
    type: "agent.tool_result",
    tool_use_id: wide,
    is_error: false,
    content: [
      {
        type: "text",
        text: {
          longhaul_blob: "b".repeat(64),
          bytes: 1_300_000,
          preview: "first lines\nof a big file\n",
        } as unknown as string,
      },
    ],
  });
  builder.add({ type: "longhaul.of_a_later_version", secret: [1, 2] } as never);
  builder.wait(700).answer(builder.request(5), {
    text: `${"Very long answer. ".repeat(400)}\n\n\`\`\`html\n<script>alert(1)</script>\n\`\`\``,
  });
  builder.idle();
};

const archived: Story = (builder) => {
  builder.create({ title: "Update the dependencies" }).turn("Update all dependencies to their latest minor versions.");
  work(builder);
  finish(builder);
  builder.wait(5000).add({ type: "longhaul.session_archived" });
};

/** The turn died: retries used up. */
const stopped: Story = (builder) => {
  builder.create({ title: "Translate the documentation" }).turn("Translate docs/ to German.");
  work(builder);
  const span = builder.request(8);
  builder.wait(400).add({ type: "longhaul.model_request_abandoned", model_request_start_id: span, cause: "failed" });
  const usage = { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  builder.add({ type: "span.model_request_end", model_request_start_id: span, is_error: true, model_usage: usage });
  const message = "The model endpoint refused the key (401): set a valid ANTHROPIC_API_KEY and resume.";
  builder.add({
    type: "session.error",
    error: { type: "model_request_failed_error", message, retry_status: { type: "exhausted" } },
  });
  builder.add({ type: "session.status_idle", stop_reason: { type: "retries_exhausted" }, stop_details: null });
  builder.rest();
};

export const STORIES: readonly { name: string; ago: number; story: Story }[] = [
  { name: "slept", ago: 30 * 3_600_000, story: slept },
  { name: "cut", ago: 900_000, story: cutOff },
  { name: "asking", ago: 240_000, story: asking },
  { name: "retry", ago: 120_000, story: retrying },
  { name: "stopped", ago: 5_400_000, story: stopped },
  { name: "hostile", ago: 50 * 3_600_000, story: hostile },
  { name: "archived", ago: 200 * 3_600_000, story: archived },
  { name: "adopted", ago: 5 * 3_600_000, story: adopted },
  { name: "replaced", ago: 7 * 3_600_000, story: replaced },
  { name: "refused", ago: 26 * 3_600_000, story: refused },
  { name: "unavailable", ago: 28 * 3_600_000, story: unavailable },
  { name: "delivered", ago: 3 * 3_600_000, story: delivered },
];

/** A session of about `count` events: turns of ten requests with a call each. */
export function long(builder: LogBuilder, count: number): void {
  builder.create({ title: `A long one: ${count.toLocaleString("en-US")} events` });
  let n = 0;
  while (builder.events.length < count) {
    builder.wait(60_000).turn(`Step ${++n}`);
    for (let i = 0; i < 10; i++) {
      const [call = ""] = builder.wait(1500).answer(builder.request(i * 2), {
        text: `Working on part ${i} of step ${n}.`,
        calls: [
          {
            name: i % 3 === 0 ? "bash" : "read",
            input: i % 3 === 0 ? { command: `make part-${i}` } : { file_path: `/workspace/src/${n}/${i}.ts` },
          },
        ],
      });
      builder
        .start(call)
        .wait(40 * (i + 1))
        .result(call, `output of part ${i}\n`.repeat(20), i === 7 && n % 5 === 0);
    }
    builder.answer(builder.wait(5).request(22), { text: `Step ${n} is done.` });
    builder.idle();
  }
}
