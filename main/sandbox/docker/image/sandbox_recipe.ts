/** The recipe of our own sandbox image: `resources/sandbox/`, from which the name of the image follows. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SandboxLost } from "../../port.ts";

/** Label of images: the recipe that they were made from. */
export const RECIPE_LABEL = "longhaul.recipe";
/** In the order in which `make_image.sh` hashes them. */
const FILES = ["Dockerfile", "packages.txt", "setup.sh"] as const;

export interface SandboxRecipe {
  /** File name → content. */
  files: Record<string, string>;
  /** 12 hexadecimal digits; `make_image.sh --recipe` prints the same. */
  hash: string;
  /** `longhaul-sandbox:<hash>` */
  image: string;
}

/** Where the recipe is: in an installed package beside the build, in a checkout above this file. */
export function recipeFolder(): string {
  const candidates = ["../../resources/sandbox", "../../../../resources/sandbox"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const found = candidates.find((folder) => existsSync(join(folder, "Dockerfile")));
  if (found !== undefined) return found;
  throw new SandboxLost(
    "Longhaul's installation is incomplete: resources/sandbox with the recipe of the sandbox image is missing. Install it " +
      "again, or name an image in the environment's metadata (`longhaul.image`).",
  );
}

/** The script that makes the image without a registry, where a person can run it. */
export function bootstrapScript(): string {
  // Files of the packaged app that are run are kept beside its archive.
  return join(recipeFolder(), "make_image.sh").replace(/app\.asar(?=[\\/])/, "app.asar.unpacked");
}

/** Reads the recipe. Rejects with {@link SandboxLost} when the installation lacks it. */
export async function sandboxRecipe(): Promise<SandboxRecipe> {
  const folder = recipeFolder();
  const files: Record<string, string> = {};
  const digest = createHash("sha256");
  for (const name of FILES) {
    // A checkout with Windows line ends must not make another image, or one whose script does not run.
    const text = (await readFile(join(folder, name), "utf8")).replaceAll("\r\n", "\n");
    files[name] = text;
    digest.update(text);
  }
  const hash = digest.digest("hex").slice(0, 12);
  return { files, hash, image: `longhaul-sandbox:${hash}` };
}
