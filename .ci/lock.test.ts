import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { completeLock, LOCK_FILE, type Lock } from "./lock.ts";

test("package-lock.json is complete: after `npm install` run `node .ci/lock.ts`", () => {
  const lock = JSON.parse(readFileSync(LOCK_FILE, "utf8")) as Lock;
  expect(lock).toEqual(completeLock(lock));
});

test("a package for another platform that was left out gets an entry that is not installed here", () => {
  const lock: Lock = {
    packages: {
      "node_modules/tool": {
        dev: true,
        optionalDependencies: {
          "@tool/linux-x64-musl": "1.2.3",
          "@tool/win32-arm64-msvc": "1.2.3",
          "@tool/linux-x64": "1.2.3",
        },
      },
      "node_modules/@tool/linux-x64": { version: "1.2.3" },
    },
  };
  expect(completeLock(lock).packages).toMatchObject({
    "node_modules/@tool/linux-x64": { version: "1.2.3" },
    "node_modules/@tool/linux-x64-musl": {
      version: "1.2.3",
      os: ["linux"],
      cpu: ["x64"],
      libc: ["musl"],
      optional: true,
      dev: true,
    },
    "node_modules/@tool/win32-arm64-msvc": { version: "1.2.3", os: ["win32"], cpu: ["arm64"], optional: true },
  });
});

test("a package nested under the one that wants it is found; one whose platform is unknown is an error", () => {
  const nested: Lock = {
    packages: {
      "node_modules/tool": { optionalDependencies: { "@tool/linux-x64": "1.0.0" } },
      "node_modules/tool/node_modules/@tool/linux-x64": { version: "1.0.0" },
    },
  };
  expect(completeLock(nested)).toEqual(nested);
  const unknown: Lock = { packages: { "node_modules/tool": { optionalDependencies: { fast: "^1.0.0" } } } };
  expect(() => completeLock(unknown)).toThrow("fast@^1.0.0");
});
