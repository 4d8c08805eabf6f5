import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { candidates } from "./candidates.ts";

let home: string;

beforeEach(() => {
  home = mkdtempSync(`${tmpdir()}/longhaul-engines-`);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function file(path: string, text = ""): string {
  const whole = join(home, path);
  mkdirSync(dirname(whole), { recursive: true });
  writeFileSync(whole, text);
  return whole;
}

function context(name: string, host: string, more: object = {}): string {
  const id = createHash("sha256").update(name).digest("hex");
  const meta = { Name: name, Metadata: {}, Endpoints: { docker: { Host: host, ...more } } };
  file(`.docker/contexts/meta/${id}/meta.json`, JSON.stringify(meta));
  return id;
}

/** Addresses, without what this machine itself has at the usual places outside of a home. */
function shown(env: Record<string, string>, platform: NodeJS.Platform = "linux"): string[] {
  const { found } = candidates({ HOME: home, ...env }, platform);
  return found.map((address) => address.shown).filter((text) => !/unix:\/\/(\/var)?\/run\//.test(text));
}

describe("DOCKER_HOST", () => {
  test.each([
    ["unix:///x/y.sock", "unix:///x/y.sock"],
    ["npipe:////./pipe/docker_engine", "npipe:////./pipe/docker_engine"],
    ["tcp://10.0.0.1", "tcp://10.0.0.1:2375"],
    ["tcp://10.0.0.1:80", "tcp://10.0.0.1:80"],
    ["tcp://user:canary@host.example:99/path", "tcp://host.example:99"],
    ["https://host.example", "tcp://host.example:2376"],
    ["tcp://[::1]:2375", "tcp://[::1]:2375"],
    ["host.example:2375", "tcp://host.example:2375"],
  ])("%s is %s and nothing else is considered", (value, address) => {
    file(".docker/run/docker.sock");
    const where = candidates({ HOME: home, DOCKER_HOST: value });
    expect(where).toMatchObject({ chosen_by: "DOCKER_HOST", problem: null });
    expect(where.found.map(({ shown }) => shown)).toEqual([address]);
    expect(JSON.stringify(where)).not.toContain("canary");
  });

  test.each([
    ["ssh://user:canary@host", /ssh:\/\/ address.*Forward the socket/],
    ["unix://", /names no socket/],
    ["ftp://user:canary@host", /begins with ftp:\/\//],
    ["tcp://user:canary@", /no address of an engine/],
    ["tcp://canary@host:notaport", /no address of an engine/],
  ])("%s is refused in words", (value, words) => {
    const where = candidates({ HOME: home, DOCKER_HOST: value });
    expect(where.found).toEqual([]);
    expect(where.problem).toMatch(words);
    expect(where.problem).not.toContain("canary");
  });

  test("with TLS its certificates are read when it is used, and a missing one is named", () => {
    const env = {
      HOME: home,
      DOCKER_HOST: "tcp://h:2376",
      DOCKER_TLS_VERIFY: "1",
      DOCKER_CERT_PATH: join(home, "certs"),
    };
    const [address] = candidates(env).found;
    expect(() => address?.tls?.()).toThrow(/certs\/ca\.pem cannot be read \(ENOENT\)/);
    for (const name of ["ca", "cert", "key"]) file(`certs/${name}.pem`, name);
    expect(address?.tls?.()).toEqual({ ca: "ca", cert: "cert", key: "key", verify: true });
  });
});

describe("Docker context", () => {
  test("the current one is used instead of usual sockets; DOCKER_CONTEXT and DOCKER_HOST win over it", () => {
    file(".docker/run/docker.sock");
    file(".docker/config.json", JSON.stringify({ currentContext: "colima", auths: {} }));
    context("colima", "unix:///c/docker.sock");
    context("remote", "tcp://r:2375");
    expect(shown({})).toEqual(["unix:///c/docker.sock"]);
    expect(shown({ DOCKER_CONTEXT: "remote" })).toEqual(["tcp://r:2375"]);
    expect(shown({ DOCKER_CONTEXT: "default" })).toEqual([`unix://${home}/.docker/run/docker.sock`]);
    expect(shown({ DOCKER_HOST: "unix:///h.sock" })).toEqual(["unix:///h.sock"]);
  });

  test("its TLS material", () => {
    const id = context("tls", "tcp://r:2376", { SkipTLSVerify: false });
    file(`.docker/contexts/tls/${id}/docker/ca.pem`, "CA");
    const [address] = candidates({ HOME: home, DOCKER_CONTEXT: "tls" }).found;
    expect(address?.tls?.()).toEqual({ ca: "CA", cert: null, key: null, verify: true });
  });

  test.each([
    ["missing", () => undefined, /does not exist.*docker context ls/],
    ["broken", () => broken("{"), /names no engine/],
    ["without an endpoint", () => broken(JSON.stringify({ Name: "x", Endpoints: {} })), /names no engine/],
    ["over ssh", () => context("x", "ssh://me@host"), /The Docker context "x" is an ssh:\/\/ address/],
  ])("one that is %s is a problem in words, not another engine", (_, make, words) => {
    file(".docker/run/docker.sock");
    make();
    expect(candidates({ HOME: home, DOCKER_CONTEXT: "x" })).toMatchObject({
      found: [],
      problem: expect.stringMatching(words),
    });
  });

  function broken(text: string): void {
    file(`.docker/contexts/meta/${createHash("sha256").update("x").digest("hex")}/meta.json`, text);
  }

  test("a configuration that is no JSON chooses nothing", () => {
    file(".docker/config.json", "{{{");
    expect(candidates({ HOME: home }).problem).toBeNull();
  });
});

test("usual sockets in order: rootless, Docker Desktop, OrbStack, Colima with its default first, Rancher, Podman", () => {
  const paths = [
    "run/docker.sock",
    ".docker/run/docker.sock",
    ".orbstack/run/docker.sock",
    ".colima/default/docker.sock",
    ".colima/another/docker.sock",
    ".rd/docker.sock",
    "run/podman/podman.sock",
  ];
  const env = { XDG_RUNTIME_DIR: join(home, "run") };
  expect(shown(env)).toEqual([]);
  for (const path of [...paths].reverse()) file(path);
  file(".colima/_lima/docker.sock");
  expect(shown(env)).toEqual(paths.map((path) => `unix://${home}/${path}`));
  const machine = file(".local/share/containers/podman/machine/podman.sock");
  expect(shown({}, "darwin")).toContain(`unix://${machine}`);
});
