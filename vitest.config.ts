import { defineConfig } from "vitest/config";

/** Two projects: `unit` stands beside its files, `e2e` drives the built product and runs one file after the other. */
export default defineConfig({
  test: {
    // Two cores are the smallest machine this runs on: more workers only make timings worse.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "unit",
          include: ["{main,electron,renderer,bench,.ci}/**/*.test.{ts,tsx}"],
          environment: "node",
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
