/** Sessions whose sandbox has a history: slow to make, adopted, replaced, not to be had, refused the network. */
import type { SandboxOrigin, SessionSnapshot } from "../../main/contract/events.ts";
import { type LogBuilder, sampleSnapshot } from "../../renderer/timeline/testing/log_builder.ts";
import type { Step } from "./fake_session.ts";

const METADATA = { "longhaul.sandbox": "docker", "longhaul.memory": "6g", "longhaul.cpus": "4" };

/** The snapshot of a session with a container and a folder of the person's. */
export function dockerSession(builder: LogBuilder, title: string, path: string): void {
  const snapshot: SessionSnapshot = sampleSnapshot(builder.sessionId);
  const at = builder.iso();
  const config = {
    type: "cloud",
    networking: {
      type: "limited",
      allowed_hosts: ["api.github.com"],
      allow_mcp_servers: false,
      allow_package_managers: true,
    },
    packages: { type: "packages", apt: ["sqlite3"], cargo: [], gem: [], go: [], npm: [], pip: [] },
  } as SessionSnapshot["environment"]["config"];
  builder.create({
    ...snapshot,
    title,
    environment: { ...snapshot.environment, name: "Docker, registries and GitHub", config, metadata: METADATA },
    resources: [
      {
        id: "sesrsc_01",
        type: "local_repository",
        path,
        mount_path: `/workspace/${path.split("/").at(-1)}`,
        checkout: null,
        include_uncommitted: true,
        created_at: at,
        updated_at: at,
      },
    ],
  });
}

const STEPS: readonly [string, number][] = [
  ["Pull the image longhaul/sandbox:1", 38_400],
  ["Install packages (apt: sqlite3)", 11_900],
  ["Start the container", 820],
  ["Copy app in with its history (1,204 commits)", 3_150],
  ["Set up the network", 240],
];

/** A provisioning to its end. */
function provision(
  builder: LogBuilder,
  steps: readonly [string, number][],
  how: SandboxOrigin,
  notice: string | null = null,
  cause: "first_tool_call" | "replaced" = "first_tool_call",
): void {
  builder.add({ type: "longhaul.sandbox_provisioning", provider: "docker", cause });
  let duration_ms = 0;
  for (const [step, ms] of steps) {
    builder.wait(ms).add({ type: "longhaul.sandbox_step", step, duration_ms: ms, error: null });
    duration_ms += ms;
  }
  const adopted = how === "adopted";
  builder.add({ type: "longhaul.sandbox_ready", provider: "docker", duration_ms, adopted, how, notice });
}

function bash(builder: LogBuilder, messages: number, text: string | null, command: string): string {
  const [call = ""] = builder.wait(1900).answer(builder.request(messages), {
    text,
    calls: [{ name: "bash", input: { command } }],
    usage: { input_tokens: 60, output_tokens: 210, cache_read_input_tokens: 6400, cache_creation_input_tokens: 900 },
  });
  return call;
}

/** The engine died in mid-command; the container went on, and the next engine took it on with the command's result. */
export function adopted(builder: LogBuilder): void {
  dockerSession(builder, "Rebuild the search index", "/home/ada/projects/search");
  builder.turn("Rebuild the whole search index and compare its size with the old one.");
  const first = bash(builder, 1, "I'll look at the index builder first.", "ls -la index && cat Makefile");
  provision(builder, STEPS.slice(2), "created");
  builder.start(first).wait(41).result(first, "Makefile\nindex.db  812M");
  const long = bash(builder, 4, "Building it now; this takes a few minutes.", "make index 2>&1 | tail -n 40");
  builder.start(long).wait(64_000);
  const died = builder.iso();
  builder.wait(96_000).wake("engine_start", 5210, "lhh_4121");
  builder.add({
    type: "longhaul.cut_off",
    cause: "engine_died",
    last_event_at: died,
    noticed_at: builder.iso(),
    calls_in_flight: [long],
    model_request_in_flight: null,
  });
  builder.add({ type: "session.status_running" });
  provision(builder, [["Find the session's container", 34]], "adopted");
  builder.start(long, 2);
  builder.add({ type: "longhaul.call_settled", tool_use_id: long, how: "reattached" });
  builder.wait(22_000).result(long, "indexed 1,204,331 documents\nindex.db  790M");
  builder.wait(1700).answer(builder.request(7), {
    text: "The index is rebuilt: **790 MB**, 22 MB smaller than before, with the same 1,204,331 documents.",
  });
  builder.idle().wait(900);
  builder.add({
    type: "longhaul.sandbox_checkpoint",
    provider: "docker",
    checkpoint: "longhaul-checkpoint:adopted-1",
    size_bytes: 1_640_000_000,
    duration_ms: 860,
    error: null,
  });
}

const NOTICE =
  "The container of this session was removed, and a new one was built from the checkpoint of 02:10. Files are as they were then; what was changed after it is gone, as are running processes, exported variables and the working directory. Look at the state before you go on.";

/** The container was killed for its memory, started again, then removed and rebuilt from a checkpoint. */
export function replaced(builder: LogBuilder): void {
  dockerSession(builder, "Profile the importer's memory", "/home/ada/projects/importer");
  builder.turn("Find out why the importer needs 6 GB, and bring it below one.");
  const first = bash(builder, 1, "First a profile of the whole run.", "python3 profile_import.py --all");
  provision(builder, STEPS.slice(1), "created");
  builder.start(first).wait(52_000);
  const reason = "The container ran out of memory (limit 6 GB) and was killed.";
  builder.add({ type: "longhaul.sandbox_lost", provider: "docker", reason });
  builder.result(first, `${reason} Its files are kept. Use less memory, or work in smaller parts.`, true);
  const second = bash(
    builder,
    4,
    "Too much at once. One tenth of it will do.",
    "python3 profile_import.py --share 0.1",
  );
  const restarted =
    "The container was killed and started again. Its files are there; running processes, exported variables and the working directory are gone.";
  provision(builder, [["Start the container again", 910]], "restarted", restarted, "replaced");
  builder.start(second).wait(31_000).result(second, "peak 640 MB, 92 % in parse_rows()");
  builder.wait(1500).answer(builder.request(6), { text: "`parse_rows()` keeps every row. I'll make it a generator." });
  builder.idle().wait(1200);
  builder.add({
    type: "longhaul.sandbox_checkpoint",
    provider: "docker",
    checkpoint: "longhaul-checkpoint:replaced-1",
    size_bytes: 96_000_000,
    duration_ms: 1140,
    error: null,
  });
  builder.wait(600_000).turn("Good. Do it.");
  const third = bash(builder, 8, null, "git status --short && sed -n 1,80p importer/parse.py");
  builder.wait(6).add({
    type: "longhaul.sandbox_lost",
    provider: "docker",
    reason: "The container was removed by somebody or something outside Longhaul.",
  });
  const rebuild: [string, number][] = [
    ["Build from the checkpoint", 2_300],
    ["Start the container", 760],
    ["Set up the network", 210],
  ];
  provision(builder, rebuild, "restored", NOTICE, "replaced");
  builder.start(third).wait(38).result(third, `${NOTICE}\n\n M importer/parse.py`);
  builder
    .wait(2100)
    .answer(builder.request(10), { text: "The sandbox was rebuilt and the change is still to be made." });
  builder.idle();
  builder.wait(1500).add({
    type: "longhaul.sandbox_checkpoint",
    provider: "docker",
    checkpoint: null,
    size_bytes: 0,
    duration_ms: 640,
    error: "The container engine has no space left: 210 MB are free, the copy needs about 1.6 GB.",
  });
}

const refusal = (host: string): string => `The host ${host} is not among the environment's allowed hosts.`;

/** Package registries are let through; two other hosts are refused, one of them again and again. */
export function refused(builder: LogBuilder): void {
  dockerSession(builder, "Update the geocoder's data", "/home/ada/projects/geo");
  builder.turn("Fetch the newest data set, install what you need and run the checks.");
  const first = bash(builder, 1, "Installing first.", "npm ci && pip install -r requirements.txt");
  provision(builder, STEPS.slice(2), "created");
  builder.start(first).wait(900);
  const egress = (host: string, decision: "allowed" | "denied", why: string, count: number): void => {
    builder.wait(700).add({ type: "longhaul.egress", host, port: 443, decision, reason: why, count });
  };
  egress("registry.npmjs.org", "allowed", "package registries are allowed", 61);
  egress("pypi.org", "allowed", "package registries are allowed", 9);
  egress("files.pythonhosted.org", "allowed", "package registries are allowed", 14);
  egress("registry.npmjs.org", "allowed", "package registries are allowed", 118);
  egress("telemetry.example.net", "denied", refusal("telemetry.example.net"), 1);
  builder.wait(5200).result(first, "added 214 packages in 6s\nSuccessfully installed 12 packages");
  const second = bash(builder, 4, "Now the data.", "curl -fsSL https://data.geo.example.org/latest.zip -o latest.zip");
  builder.start(second).wait(300);
  egress("data.geo.example.org", "denied", refusal("data.geo.example.org"), 1);
  egress("telemetry.example.net", "denied", refusal("telemetry.example.net"), 3);
  builder.wait(90).result(second, "curl: (56) CONNECT tunnel failed, response 403\nexit 56", true);
  builder.wait(2000).answer(builder.request(7), {
    text: "The data lives on `data.geo.example.org`, which this environment does not allow. Everything else is ready: allow that host and I can go on.",
  });
  builder.idle();
}

/** The image cannot be had: the call fails with a reason, and the session goes on. */
export function unavailable(builder: LogBuilder): void {
  dockerSession(builder, "Check the release image", "/home/ada/projects/release");
  builder.turn("Run the smoke tests inside the release image.");
  const first = bash(builder, 1, "Running them.", "make smoke");
  const error =
    'The image "registry.example.com/team/release:2.4" cannot be pulled: the registry does not know it (404). Nothing was started.';
  builder.add({ type: "longhaul.sandbox_provisioning", provider: "docker", cause: "first_tool_call" });
  builder.wait(2300).add({ type: "longhaul.sandbox_step", step: "Pull the image", duration_ms: 2280, error });
  builder.add({ type: "longhaul.sandbox_lost", provider: "docker", reason: error });
  builder.result(first, error, true);
  builder.wait(1600).answer(builder.request(4), {
    text: "I cannot run anything: the image `registry.example.com/team/release:2.4` does not exist. Is it `2.4.0`?",
  });
  builder.idle();
}

/** A day's work with many changes, brought back once, changed again, and files to take. */
export function delivered(builder: LogBuilder): void {
  dockerSession(builder, "Generate the API client", "/home/ada/projects/app");
  builder.turn("Generate the client from the schema, with tests, and leave a report.");
  const first = bash(builder, 1, "Generating.", "make client");
  provision(builder, STEPS.slice(2), "created");
  builder.start(first).wait(18_000).result(first, "generated 212 files");
  builder.wait(1900).answer(builder.request(4), { text: "The client is generated and its tests pass." });
  builder.idle().wait(200_000);
  builder.add({
    type: "longhaul.changes_brought_back",
    mount_path: "/workspace/app",
    path: "/home/ada/projects/app",
    branch: `longhaul/${builder.sessionId}`,
    commit: "4f1c9e0b77aa21d0c8e5f1f0b6b7c2a49d3e8810",
  });
  builder.wait(60_000).turn("Now the report as a PDF, and rename the package.");
  const again = bash(builder, 6, null, "make report rename");
  builder.start(again).wait(9000).result(again, "report.pdf written");
  builder.wait(1500).answer(builder.request(8), { text: "Done: the report is in the outputs." });
  builder.idle();
}

/** An engine that ended while it made the sandbox. */
export function leftUnfinished(builder: LogBuilder): void {
  bash(builder, 1, "Measuring.", "hyperfine './app --version'");
  builder.add({ type: "longhaul.sandbox_provisioning", provider: "docker", cause: "first_tool_call" });
  builder
    .wait(900)
    .add({ type: "longhaul.sandbox_step", step: "Find the container engine", duration_ms: 62, error: null });
}

const LAYERS = 7;

/** The first provisioning of a machine, as it happens: an image is pulled, layer by layer, for as long as somebody looks. */
export async function pulling(step: Step): Promise<void> {
  const { log, session } = step;
  log.now -= 2000;
  const call = bash(log, 1, "I'll begin with the test suite.", "npm ci && npm test");
  log.add({ type: "longhaul.sandbox_provisioning", provider: "docker", cause: "first_tool_call" });
  await step.pause(400);
  log.add({ type: "longhaul.sandbox_step", step: "Find the container engine", duration_ms: 62, error: null });
  await step.pause(300);
  log.add({
    type: "longhaul.sandbox_step",
    step: "Look for the image longhaul/sandbox:1",
    duration_ms: 210,
    error: null,
  });
  for (let layer = 1; ; layer = (layer % LAYERS) + 1) {
    for (let done = 0; done <= 120; done += 4) {
      const text = `Pulling longhaul/sandbox:1 · layer ${layer} of ${LAYERS} · ${done} of 120 MB`;
      session.send({ type: "sandbox_progress", text });
      await step.pause(250);
    }
    if (session.fold?.calls[0]?.id !== call) return;
  }
}

/** A provisioning in a few seconds, with progress on the way. */
export async function provisionLive(step: Step): Promise<void> {
  const { log, session } = step;
  log.add({ type: "longhaul.sandbox_provisioning", provider: "docker", cause: "first_tool_call" });
  for (let layer = 1; layer <= 3; layer++) {
    session.send({ type: "sandbox_progress", text: `Pulling longhaul/sandbox:1 · layer ${layer} of 3` });
    await step.pause(500);
  }
  log.add({ type: "longhaul.sandbox_step", step: "Pull the image longhaul/sandbox:1", duration_ms: 1500, error: null });
  await step.pause(400);
  log.add({ type: "longhaul.sandbox_step", step: "Start the container", duration_ms: 400, error: null });
  const ready = { provider: "docker", duration_ms: 1900, adopted: false, how: "created" as const, notice: null };
  log.add({ type: "longhaul.sandbox_ready", ...ready });
}
