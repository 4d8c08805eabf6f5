/**
 * Errors of the container engine → SandboxLost with words: what happened, what is safe, what to do. The engine tells
 * kinds apart by text more than by status code, so the texts of Docker, Podman and the OCI runtimes are matched here and
 * nowhere else.
 */
import { SandboxLost } from "../port.ts";

export type FaultKind =
  /** Nothing answers at the address, or the connection broke. */
  | "unreachable"
  | "no_permission"
  /** No answer within a time limit, ours or the engine's. */
  | "timeout"
  | "tls"
  /** The engine (or a plugin of it) refuses this client. */
  | "refused"
  | "no_image"
  | "bad_image_name"
  /** A registry wants a login, limits requests or cannot be reached. */
  | "registry"
  | "wrong_platform"
  | "no_shell"
  | "no_container"
  | "not_running"
  | "paused"
  | "being_removed"
  | "name_taken"
  | "disk_full"
  | "no_memory"
  | "unknown_runtime"
  | "limits"
  | "oci"
  | "other";

/** What went wrong, for callers that act on it. */
export interface EngineFault {
  kind: FaultKind;
  /** HTTP status of the engine's answer; null when there was none. */
  status: number | null;
  /** The engine's own words: one line, bounded, without credentials. */
  detail: string;
}

const UNREACHABLE = new Set(
  "ECONNREFUSED ENOENT ECONNRESET EPIPE ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH EHOSTDOWN ECONNABORTED".split(" "),
);
const TLS = /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_TLS|ERR_SSL|EPROTO$|ERR_OSSL)/;

/** First match wins: a full disk also fails pulls and starts, so what is rarer and surer stands first. */
const TEXTS: readonly [RegExp, FaultKind][] = [
  [/no space left on device|disk quota exceeded|not enough space/i, "disk_full"],
  [/client sent an http request to an https server|server gave http response to https client/i, "tls"],
  [/unknown (or invalid )?runtime|invalid runtime name|runtime .* (not found|is not configured)/i, "unknown_runtime"],
  [
    /exec format error|no matching manifest|does not match the (specified|detected) (host )?platform/i,
    "wrong_platform",
  ],
  [/exec:? "?\/bin\/sh"?.*(no such file|not found)|exec \/bin\/sh failed: no such file/i, "no_shell"],
  [/exec: .*(executable file not found|no such file or directory|permission denied)/i, "no_shell"],
  [/invalid reference format|repository name must be|invalid tag format|invalid repository name/i, "bad_image_name"],
  [/toomanyrequests|unauthorized|authentication required|requested access .* denied/i, "registry"],
  [/no such image|manifest (for .* not found|unknown)|repository does not exist|image not known/i, "no_image"],
  [/lookup .*no such host|(Get|Head|dial|pinging) .*(https?:\/\/|tcp)|TLS handshake timeout/i, "registry"],
  [/authorization denied by plugin/i, "refused"],
  [/(removal of container .* in progress|marked for removal|is being removed)/i, "being_removed"],
  [/name .* is already in use/i, "name_taken"],
  [/is paused|unpause the container/i, "paused"],
  [/is not running|container state improper|has exited/i, "not_running"],
  [/no such container|no container with name/i, "no_container"],
  [/cannot allocate memory|out of memory|memory limit .* too (small|low)/i, "no_memory"],
  [/range of cpus|minimum memory limit|pids limit|resource limits|invalid cpu/i, "limits"],
  [/oci runtime|failed to create (shim )?task|runc create failed|crun:/i, "oci"],
  [/socket hang up|connection reset|broken pipe/i, "unreachable"],
  [/context deadline exceeded|request canceled/i, "timeout"],
];

const DETAIL_LIMIT = 300;

/** Tells what an error of dockerode, of a socket or of a time limit is. */
export function engineFault(error: unknown): EngineFault {
  const { code, name, statusCode } = (typeof error === "object" && error !== null ? error : {}) as {
    code?: unknown;
    name?: unknown;
    statusCode?: unknown;
  };
  const status = typeof statusCode === "number" ? statusCode : null;
  const detail = detailOf(error);
  return { kind: kindOf(String(code ?? ""), String(name ?? ""), status, detail), status, detail };
}

function kindOf(code: string, name: string, status: number | null, detail: string): FaultKind {
  if (status === null) {
    if (code === "EACCES" || code === "EPERM") return "no_permission";
    if (UNREACHABLE.has(code)) return "unreachable";
    if (code === "ENOSPC" || code === "EDQUOT") return "disk_full";
    if (code === "ETIMEDOUT" || name === "TimeoutError" || name === "AbortError") return "timeout";
    if (TLS.test(code)) return "tls";
  }
  const text = TEXTS.find(([pattern]) => pattern.test(detail))?.[1];
  if (text !== undefined) return text;
  if (status === 401 || status === 403) return "refused";
  return "other";
}

function detailOf(error: unknown): string {
  const json = (error as { json?: { message?: unknown } } | null | undefined)?.json?.message;
  const message = typeof json === "string" ? json : error instanceof Error ? error.message : String(error);
  return oneLine(message.replace(/^\(HTTP code \d+\) [^-]*- /, ""));
}

function oneLine(text: string): string {
  const line = text
    .replace(/\s+/g, " ")
    .trim()
    .replace(/(:\/\/)[^\s/@]+@/g, "$1");
  return line.length > DETAIL_LIMIT ? `${line.slice(0, DETAIL_LIMIT - 1)}…` : line;
}

/**
 * The error as a SandboxLost whose text says what happened, what is safe and what to do. A SandboxLost is handed through
 * unchanged.
 * @param doing what was being done, after "could not": "create the container", "start the container"
 * @param address the engine's, as it may be shown (without credentials)
 */
export function asSandboxLost(error: unknown, doing: string, address: string): SandboxLost {
  if (error instanceof SandboxLost) return error;
  const fault = engineFault(error);
  return new SandboxLost(`The container engine at ${address} could not ${doing}: ${WORDS[fault.kind](fault)}`, {
    cause: error,
  });
}

const SAFE = "The session and what was recorded of it are safe";
const FILES_SAFE = `${SAFE}, and files of a sandbox that was made before are kept`;

const WORDS: Record<FaultKind, (fault: EngineFault) => string> = {
  unreachable: ({ detail }) =>
    `it does not answer (${detail}). ${FILES_SAFE}. Start the engine again, then repeat the call.`,
  no_permission: ({ detail }) =>
    `this user may not use its socket (${detail}). ${FILES_SAFE}. Add the user to the group "docker" and log in again, ` +
    "or use a rootless engine.",
  timeout: ({ detail }) =>
    `it took too long (${detail}). ${FILES_SAFE}. The engine may be busy or hang: repeat the call, and restart the ` +
    "engine when that does not help.",
  tls: ({ detail }) =>
    `the encrypted connection failed (${detail}). ${FILES_SAFE}. Check DOCKER_HOST, DOCKER_TLS_VERIFY and the ` +
    "certificates in DOCKER_CERT_PATH.",
  refused: ({ detail }) => `it refuses this client (${detail}). ${FILES_SAFE}. Ask whoever runs the engine for access.`,
  no_image: ({ detail }) =>
    `the image is not there (${detail}). ${SAFE}. Pull or build it (\`docker pull NAME\`), or correct ` +
    "`metadata.longhaul.image` of the environment.",
  bad_image_name: ({ detail }) =>
    `that is no name of an image (${detail}). ${SAFE}. Correct \`metadata.longhaul.image\` of the environment.`,
  registry: ({ detail }) =>
    `the registry did not give out the image (${detail}). ${SAFE}. Check the network and the image's name, log in with ` +
    "`docker login`, or load the image by hand (`docker load`).",
  wrong_platform: ({ detail }) =>
    `the image is made for another kind of processor (${detail}). ${SAFE}. Use an image for this one.`,
  no_shell: ({ detail }) =>
    `the image has no POSIX shell at /bin/sh (${detail}). ${SAFE}. Choose an image with a shell: ` +
    '`metadata.longhaul.image` of the environment, for example "debian:12".',
  no_container: ({ detail }) =>
    `the container is gone (${detail}). ${SAFE}. The next call makes a new one from the last checkpoint, if there is one.`,
  not_running: ({ detail }) => `the container does not run (${detail}). ${FILES_SAFE}. The next call starts it again.`,
  paused: ({ detail }) =>
    `the container is paused (${detail}). ${FILES_SAFE}. The next call wakes it up, or use \`docker unpause\`.`,
  being_removed: ({ detail }) =>
    `the container is just being removed (${detail}). ${SAFE}. Repeat the call; it makes a new one.`,
  name_taken: ({ detail }) =>
    `another container has its name (${detail}). ${SAFE}. Repeat the call; \`longhaul doctor --sandboxes\` lists what is there.`,
  disk_full: ({ detail }) =>
    `its disk is full (${detail}). ${FILES_SAFE}. Free some space (\`longhaul doctor --sandboxes --remove\` removes what ` +
    "deleted sessions left, `docker system df` shows the rest), then repeat the call.",
  no_memory: ({ detail }) =>
    `it has too little memory (${detail}). ${FILES_SAFE}. Close something, or lower \`metadata.longhaul.memory\` of the environment.`,
  unknown_runtime: ({ detail }) =>
    `it does not know the runtime (${detail}). ${SAFE}. \`longhaul doctor\` lists its runtimes: correct or remove ` +
    "`metadata.longhaul.runtime` of the environment, or install that runtime.",
  limits: ({ detail }) =>
    `it does not take the limits (${detail}). ${SAFE}. Correct \`longhaul.memory\`, \`longhaul.cpus\` or \`longhaul.pids\` ` +
    "in the environment's metadata.",
  oci: ({ detail }) =>
    `the container does not start (${detail}). ${FILES_SAFE}. If it happens again, try another image or runtime in the ` +
    "environment's metadata.",
  other: ({ detail, status }) =>
    `${status === null ? "" : `it answered with ${status}: `}${detail}. ${FILES_SAFE}. Repeat the call; \`longhaul doctor\` checks the engine.`,
};
