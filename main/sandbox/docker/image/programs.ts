/** Looks into an image: whether a sandbox can run in it, and which programs it has. */
import type Docker from "dockerode";
import { SandboxLost } from "../../port.ts";
import { isFault } from "../container/engine_call.ts";
import { AGENT } from "../container/exec.ts";
import { RunStalled, runPreparing } from "./container_run.ts";

/** What the runner's scripts (`runner/scripts/`) call; busybox and coreutils have them. */
const REQUIRED = "base64 cat chmod cp dd find grep head kill ls mkdir mkfifo mv readlink rm sleep stat tail".split(" ");
/** What parts of Longhaul make use of where it is there. */
const USEFUL = ["bash", "git", "ip", "nc", "node", "ps", "python3", "rg", "setsid", "tar", "timeout"];

const PROBE = 'for program in "$@"; do command -v "$program" > /dev/null 2>&1 && echo "$program"; done; echo probed';
const STALL_MS = 30_000;
const LIMIT_MS = 60_000;
/** Characters of what the image says of itself; the whole list has a hundredth of it. */
const MAX_OUTPUT = 64 * 1024;

/**
 * Resolves with the programs that are in the image, by a short run without network in it.
 * Rejects with {@link SandboxLost} when it has no shell or lacks a program that the runner needs.
 */
export async function programsOf(
  docker: Docker,
  image: { id: string; name: string },
  labels: Record<string, string>,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  let output = "";
  const run = {
    image: image.id,
    argv: ["/bin/sh", "-c", PROBE, "longhaul", ...REQUIRED, ...USEFUL],
    user: AGENT,
    labels,
    network: "none",
    capabilities: [],
    stallMs: STALL_MS,
    limitMs: LIMIT_MS,
    onOutput: (bytes: Buffer) => {
      if (output.length < MAX_OUTPUT) output += bytes.toString("latin1");
    },
    signal,
  };
  try {
    await runPreparing(docker, run, () => Promise.resolve());
  } catch (error) {
    if (isFault(error, "no_shell")) throw noShell(image.name, error);
    if (error instanceof RunStalled) throw noShell(image.name, error);
    throw error;
  }
  const found = new Set(output.split(/\r?\n/));
  // An image may have something else than a shell by the name of one.
  if (!found.has("probed")) throw noShell(image.name, null);
  const missing = REQUIRED.filter((program) => !found.has(program));
  if (missing.length > 0) {
    throw new SandboxLost(
      `A sandbox cannot run in the image ${image.name}: it lacks ${missing.join(", ")}. Nothing was started. Add what is ` +
        "missing to the image (busybox or coreutils has it), or name another one in the environment's metadata (`longhaul.image`).",
    );
  }
  found.delete("probed");
  found.delete("");
  return found;
}

function noShell(name: string, cause: unknown): SandboxLost {
  return new SandboxLost(
    `A sandbox cannot run in the image ${name}: it has no POSIX shell at /bin/sh. Nothing was started. Name an image with ` +
      'a shell in the environment\'s metadata (`longhaul.image`), for example "debian:12" or "alpine:3", or remove the ' +
      "key to use Longhaul's own image.",
    { cause },
  );
}
