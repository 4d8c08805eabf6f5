/** Whether the prices that a person wrote down can be used. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pricesFile } from "../../contract/cost/prices.ts";
import { type Finding, ok, warn } from "./check.ts";

/** `prices.json` of the data directory; without one there is nothing to find out. */
export function checkPrices(dataDir: string): Finding[] {
  const path = join(dataDir, "prices.json");
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? [] : [unusable(path, message)];
  }
  try {
    const models = Object.keys(pricesFile.parse(JSON.parse(text)));
    return [ok("prices", `${path} has ${models.length === 1 ? "a price" : `prices for ${models.length} models`}`)];
  } catch (error) {
    return [unusable(path, error instanceof Error ? error.message : String(error))];
  }
}

function unusable(path: string, problem: string): Finding {
  return warn(
    "prices",
    `${path} is not used: ${problem.replace(/\s+/g, " ").slice(0, 300)}`,
    'It must hold {"model-id": {"input": 3, "output": 15}} in dollars per million tokens. Built-in prices hold meanwhile.',
  );
}
