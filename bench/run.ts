/** `npm run bench [name]`: runs bench/<name>.bench.ts, or all of them, and prints a table and a JSON line for each. */
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** What every benchmark exports as `run`. */
export interface BenchResult {
  table: string;
  /** One line of facts for machines; ratios are taken within this run. */
  json: object;
}

const here = fileURLToPath(new URL(".", import.meta.url));
const names = readdirSync(here)
  .filter((file) => file.endsWith(".bench.ts"))
  .map((file) => file.replace(/\.bench\.ts$/, ""))
  .sort();
const wanted = process.argv[2];
if (wanted !== undefined && !names.includes(wanted)) {
  console.error(`There is no benchmark named ${JSON.stringify(wanted)}. There are: ${names.join(", ")}.`);
  process.exit(2);
}
for (const name of wanted === undefined ? names : [wanted]) {
  const { run } = (await import(`./${name}.bench.ts`)) as { run: () => Promise<BenchResult> };
  console.log(`\n${name}`);
  const { table, json } = await run();
  console.log(table);
  console.log(JSON.stringify({ bench: name, ...json }));
}
