import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { layerHash } from "./package_layers.ts";
import { blamedPackage, installCommand, MANAGERS, type Manager, packageSteps } from "./package_lists.ts";

describe("names", () => {
  test.each<[Manager, string]>([
    ["apt", "g++"],
    ["apt", "libstdc++6:arm64"],
    ["apt", "ffmpeg=7:5.1.4-0+deb12u1"],
    ["apt", "python3.11"],
    ["cargo", "ripgrep@14.1.0"],
    ["gem", "rails:7.1.3"],
    ["go", "golang.org/x/tools/gopls@v0.16.1"],
    ["go", "github.com/junegunn/fzf"],
    ["npm", "@types/node@^24.0.0"],
    ["npm", "typescript@latest"],
    ["npm", "JSONStream"],
    ["pip", "requests==2.32.3"],
    ["pip", "uvicorn[standard]>=0.30,<1"],
    ["pip", "ruamel.yaml~=0.18"],
  ])("%s takes %s", (manager, name) => {
    expect(packageSteps({ [manager]: [name] })).toEqual([{ manager, names: [name] }]);
  });

  test.each<[Manager, string]>([
    ["apt", "-oDir::Etc=/tmp"],
    ["apt", "curl-"],
    ["apt", "./local.deb"],
    ["apt", "curl;rm -rf /"],
    ["apt", "a*"],
    ["cargo", "--git"],
    ["cargo", "https://example.com/x"],
    ["gem", "../x.gem"],
    ["go", "./..."],
    ["go", "github.com/a/../../etc"],
    ["go", "-toolexec=sh"],
    ["npm", "--prefix=/etc"],
    ["npm", "file:../x"],
    ["npm", "owner/repository"],
    ["npm", "git+https://example.com/x.git"],
    ["npm", "x.tgz"],
    ["npm", "../escape"],
    ["npm", "$(id)"],
    ["pip", "-rrequirements.txt"],
    ["pip", "x @ https://example.com/x.whl"],
    ["pip", "--index-url=http://evil"],
    ["pip", "a\nb"],
    ["npm", ""],
    ["npm", "a".repeat(300)],
  ])("%s refuses %j, naming the field and the form", (manager, name) => {
    const asked = (): unknown => packageSteps({ [manager]: [name] });
    expect(asked).toThrow(`config.packages.${manager}`);
    expect(asked).toThrow("Write it as");
  });

  test("whatever is accepted is no option, no path and no shell text", () => {
    fc.assert(
      fc.property(fc.constantFrom(...MANAGERS), fc.string({ unit: "binary-ascii", maxLength: 40 }), (manager, name) => {
        try {
          packageSteps({ [manager]: [name] });
        } catch {
          return true;
        }
        return !/^[-./]|[\s;&|`$'"\\(){}]|:\/\//.test(name);
      }),
      { numRuns: 2000 },
    );
  });

  test("managers run in alphabetical order, each name once and sorted, empty lists not at all", () => {
    expect(packageSteps({ pip: ["b", "a", "b"], apt: ["curl"], npm: [] })).toEqual([
      { manager: "apt", names: ["curl"] },
      { manager: "pip", names: ["a", "b"] },
    ]);
    expect(() => packageSteps({ npm: Array.from({ length: 201 }, (_, n) => `p${n}`) })).toThrow("200 are the limit");
  });
});

test("the same packages on the same image are the same layer, and nothing else is", () => {
  const of = (base: string, lists: Parameters<typeof packageSteps>[0]): string[] =>
    packageSteps(lists).map((step) => layerHash(base, step));
  expect(of("sha256:a", { npm: ["x", "y"] })).toEqual(of("sha256:a", { npm: ["y", "x"] }));
  const all = [...of("sha256:a", { npm: ["x"] }), ...of("sha256:b", { npm: ["x"] }), ...of("sha256:a", { pip: ["x"] })];
  expect(new Set(all).size).toBe(3);
});

test.each(MANAGERS)("the script of %s is one that a POSIX shell can read, and holds no name", (manager) => {
  const [shell, , script = "", , ...names] = installCommand({ manager, names: ["some-name"] });
  expect([shell, names]).toEqual(["/bin/sh", ["some-name"]]);
  expect(script).not.toContain("some-name");
  if (process.platform === "win32") return;
  expect(spawnSync("/bin/sh", ["-n", "-c", script], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
});

test.each<[Manager, string, string]>([
  ["apt", "Reading package lists...\nE: Unable to locate package foo", "foo"],
  ["apt", "E: Version '9' for 'curl' was not found", "curl"],
  ["apt", "E: Package 'awk2' has no installation candidate", "awk2"],
  ["npm", "npm error 404  'left-padd@*' is not in this registry.", "left-padd@*"],
  ["npm", "npm error notarget No matching version found for is-number@99.0.0.", "is-number@99.0.0"],
  ["pip", "ERROR: No matching distribution found for six==99", "six==99"],
  ["gem", "ERROR:  Could not find a valid gem 'raaake' (>= 0) in any repository", "raaake"],
  ["cargo", "error: could not find `ripgrap` in registry `crates-io` with version `*`", "ripgrap"],
  ["go", "go: example.com/none@latest: unrecognized import path", "example.com/none@latest"],
])("what %s prints blames a package: %s", (manager, output, name) => {
  expect(blamedPackage(manager, output)).toBe(name);
  expect(blamedPackage(manager, "some other trouble")).toBeNull();
});
