import { expect, test } from "vitest";
import { SandboxLost } from "../port.ts";
import { asSandboxLost, engineFault, type FaultKind } from "./failures.ts";

/** An error as dockerode makes it of an engine's answer. */
function answer(statusCode: number, message: string): Error {
  const text = `(HTTP code ${statusCode}) server error - ${message} `;
  return Object.assign(new Error(text), { statusCode, reason: "server error", json: { message } });
}

function system(code: string, message = `connect ${code} /var/run/docker.sock`): Error {
  return Object.assign(new Error(message), { code });
}

const OCI =
  "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process:";

test.each<[FaultKind, Error]>([
  ["unreachable", system("ECONNREFUSED")],
  ["unreachable", system("ENOENT")],
  ["unreachable", system("ECONNRESET", "socket hang up")],
  ["unreachable", new Error("socket hang up")],
  ["no_permission", system("EACCES")],
  ["timeout", new DOMException("no answer in 5 s", "TimeoutError")],
  ["tls", system("DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate")],
  ["tls", answer(400, "Client sent an HTTP request to an HTTPS server.")],
  ["refused", answer(403, "go away")],
  ["refused", answer(403, "authorization denied by plugin opa: no")],
  ["no_image", answer(404, "No such image: nosuch:image")],
  ["no_image", answer(404, "manifest for debian:xx not found: manifest unknown: manifest unknown")],
  [
    "registry",
    answer(404, "pull access denied for x, repository does not exist: requested access to the resource is denied"),
  ],
  [
    "registry",
    answer(500, 'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host'),
  ],
  ["registry", answer(429, "toomanyrequests: You have reached your pull rate limit")],
  ["bad_image_name", answer(400, "invalid reference format: repository name must be lowercase")],
  ["unknown_runtime", answer(400, "Unknown runtime specified runsc")],
  ["unknown_runtime", answer(400, "unknown or invalid runtime name: kata")],
  ["limits", answer(400, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available")],
  ["limits", answer(400, "Minimum memory limit allowed is 6MB")],
  ["name_taken", answer(409, 'Conflict. The container name "/a" is already in use by container "b08e".')],
  ["not_running", answer(409, "Container b08e is not running")],
  ["paused", answer(409, "Container b08e is paused, unpause the container before exec")],
  ["being_removed", answer(409, "removal of container b08e is already in progress")],
  ["no_container", answer(404, "No such container: nosuch")],
  ["no_shell", answer(400, `${OCI} exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown`)],
  ["wrong_platform", answer(400, `${OCI} exec /bin/sh: exec format error: unknown`)],
  ["disk_full", answer(500, "failed to register layer: write /usr/lib/x: no space left on device")],
  ["no_memory", answer(500, "fork/exec /usr/bin/runc: cannot allocate memory")],
  ["oci", answer(500, `${OCI} error mounting "proc": unknown`)],
  ["other", answer(500, "something never seen")],
  ["other", new Error("something never seen")],
])("%s: %s", (kind, error) => {
  expect(engineFault(error).kind).toBe(kind);
  const lost = asSandboxLost(error, "start the container", "unix:///var/run/docker.sock");
  expect(lost).toBeInstanceOf(SandboxLost);
  // What happened, what is safe, what to do.
  expect(lost.message).toMatch(
    /^The container engine at unix:\/\/\/var\/run\/docker\.sock could not start the container: /,
  );
  expect(lost.message).toContain("The session and what was recorded of it are safe");
  expect(lost.message).toMatch(/\.$/);
  expect(lost.message).not.toContain("HTTP code");
});

test("the engine's words are one bounded line without credentials", () => {
  const { detail } = engineFault(
    answer(500, `line one\nhttps://user:canary@registry.example.com/ ${"x".repeat(5000)}`),
  );
  expect(detail).toMatch(/^line one https:\/\/registry\.example\.com\/ x+…$/);
  expect(detail.length).toBeLessThanOrEqual(300);
});

test("a SandboxLost is handed through, and anything may be thrown", () => {
  const lost = new SandboxLost("as it is");
  expect(asSandboxLost(lost, "x", "y")).toBe(lost);
  for (const odd of [undefined, null, "text", 7, {}]) expect(asSandboxLost(odd, "x", "y")).toBeInstanceOf(SandboxLost);
});
