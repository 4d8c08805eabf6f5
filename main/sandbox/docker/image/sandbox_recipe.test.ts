import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { bootstrapScript, RECIPE_LABEL, sandboxRecipe } from "./sandbox_recipe.ts";

function script(option: string): string {
  return spawnSync("sh", [bootstrapScript(), option], { encoding: "utf8" }).stdout.trim();
}

test.skipIf(process.platform === "win32")(
  "the script without a registry makes the image that is looked for",
  async () => {
    const recipe = await sandboxRecipe();
    expect(script("--recipe")).toBe(recipe.hash);
    expect(recipe.image).toBe(`longhaul-sandbox:${recipe.hash}`);
  },
);

test.skipIf(process.platform === "win32")("it is configured as the Dockerfile says", async () => {
  const { files, hash } = await sandboxRecipe();
  const changes = script("--changes").split("\n");
  expect(changes.at(-1)).toBe(`LABEL ${RECIPE_LABEL}=${hash}`);
  expect(changes.slice(0, -1)).toEqual(
    (files["Dockerfile"] ?? "").split("\n").filter((line) => /^(ENV|WORKDIR|USER|CMD) /.test(line)),
  );
  expect(changes).toContain("USER agent");
});
