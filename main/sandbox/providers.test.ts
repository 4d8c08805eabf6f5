import { expect, test } from "vitest";
import { SandboxLost, type SandboxProvider } from "./port.ts";
import { type ProviderSources, sandboxProviders } from "./providers.ts";

function stub(kind: SandboxProvider["kind"]): SandboxProvider & { closed: number } {
  const provider = {
    kind,
    closed: 0,
    close: () => {
      provider.closed += 1;
      return Promise.resolve();
    },
  };
  return provider as unknown as SandboxProvider & { closed: number };
}

function sources(forced: ProviderSources["forced"], problem: SandboxLost | null) {
  const counts = { made: 0, asked: 0 };
  const embedded = stub("embedded");
  const docker = stub("docker");
  const providers = sandboxProviders({
    forced,
    embedded,
    docker: () => {
      counts.made += 1;
      return docker;
    },
    engineAnswers: () => {
      counts.asked += 1;
      return Promise.resolve(problem);
    },
  });
  return { providers, counts, embedded, docker };
}

const DOWN = new SandboxLost("No container engine was found.");

test.each<[ProviderSources["forced"], SandboxProvider["kind"] | null, "up" | "down", string]>([
  [null, null, "up", "docker"],
  [null, null, "down", "embedded"],
  [null, "embedded", "up", "embedded"],
  [null, "docker", "up", "docker"],
  [null, "docker", "down", "refused"],
  ["docker", null, "down", "refused"],
  ["docker", "embedded", "up", "docker"],
  ["embedded", "docker", "up", "embedded"],
  ["embedded", null, "up", "embedded"],
])("forced %s, asked for %s, engine %s: %s", async (forced, asked, engine, expected) => {
  const { providers, counts } = sources(forced, engine === "up" ? null : DOWN);
  const chosen = await providers.choose(asked).then(
    ({ kind }) => kind,
    (error: unknown) => (error === DOWN ? "refused" : String(error)),
  );
  expect(chosen).toBe(expected);
  // The embedded sandbox was said: no engine is contacted for it.
  if ((forced ?? asked) === "embedded") expect(counts.asked).toBe(0);
});

test("the engine is asked at each choice and the provider made once; a session's own provider needs no question", async () => {
  const { providers, counts, docker } = sources(null, null);
  expect(counts).toEqual({ made: 0, asked: 0 });
  expect(providers.of("docker")).toBe(docker);
  expect(counts).toEqual({ made: 1, asked: 0 });
  await Promise.all([providers.choose(null), providers.choose(null)]);
  expect(counts).toEqual({ made: 1, asked: 2 });
});

test("close closes what was made", async () => {
  const unused = sources(null, null);
  await unused.providers.close();
  expect([unused.embedded.closed, unused.docker.closed, unused.counts.made]).toEqual([1, 0, 0]);
  const used = sources(null, null);
  await used.providers.choose(null);
  await used.providers.close();
  expect([used.embedded.closed, used.docker.closed]).toEqual([1, 1]);
});

test("the embedded sandbox takes over from containers only where nobody asked for them", () => {
  const free = sources(null, null);
  expect(free.providers.instead(null)).toBe(free.embedded);
  expect(free.providers.instead("docker")).toBeNull();
  expect(sources("docker", null).providers.instead(null)).toBeNull();
});
