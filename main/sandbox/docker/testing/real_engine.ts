/** The real container engine that tests use; `npm test` starts it, makes the images and names them in the environment. */

/** Address in the form of `DOCKER_HOST`. Throws when no engine was prepared: a Docker test must never pass without one. */
export function testDockerHost(): string {
  const host = process.env["LONGHAUL_TEST_DOCKER_HOST"];
  if (host === undefined || host === "") {
    throw new Error("LONGHAUL_TEST_DOCKER_HOST is not set: run these tests with npm test, which starts an engine.");
  }
  return host;
}

/** The sandbox image, made without a registry. */
export const SANDBOX_IMAGE = "longhaul-sandbox:test";
/** An image with nothing but busybox: a POSIX shell and small tools, no bash, no git. */
export const BUSYBOX_IMAGE = "longhaul-busybox:test";
/** An image with one static program and no shell at all. */
export const SHELLLESS_IMAGE = "longhaul-no-shell:test";
