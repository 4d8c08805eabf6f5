import { defineConfig } from "vitest/config";

/**
 * Four projects: `unit` stands beside its files, `docker` and `keychain` too but need a real container engine and a real
 * keychain, `e2e` drives the built product. All but the first run one file after the other.
 */
export default defineConfig({
  test: {
    // Two cores are the smallest machine this runs on: more workers only make timings worse.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["{main,electron,renderer,bench,.ci}/**/*.test.{ts,tsx}"],
          exclude: ["**/*.docker.test.ts", "**/*.keychain.test.ts", "**/node_modules/**"],
          environment: "node",
        },
      },
      {
        test: {
          name: "docker",
          include: ["main/**/*.docker.test.ts"],
          environment: "node",
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        test: {
          name: "keychain",
          include: ["main/**/*.keychain.test.ts"],
          environment: "node",
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "e2e",
          include: ["e2e/**/*.spec.ts"],
          environment: "node",
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          retry: 0,
        },
      },
    ],
  },
});
