/** The price table of a data directory: `prices.json` over the built-in list, read again when it has changed. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import {
  LIST_PRICES,
  type PriceTable,
  priceOf,
  pricesFile,
  type TokenPrice,
  tableOf,
} from "../contract/cost/prices.ts";

export const PRICES_FILE = "prices.json";

export class Prices {
  readonly #path: string;
  readonly #report: (problem: string) => void;
  #table: PriceTable = LIST_PRICES;
  /** What the file looked like when it was read last. */
  #seen = "";

  /** @param report told once of a file that cannot be used; the prices before it go on to hold */
  constructor(dataDir: string, report: (problem: string) => void) {
    this.#path = join(dataDir, PRICES_FILE);
    this.#report = report;
  }

  /** Null for a model without a price. */
  of(model: string): TokenPrice | null {
    return priceOf(this.table(), model);
  }

  table(): PriceTable {
    const looks = this.#look();
    if (looks !== this.#seen) {
      this.#seen = looks;
      this.#read(looks === "none");
    }
    return this.#table;
  }

  #look(): string {
    try {
      const { mtimeMs, size, ino } = statSync(this.#path);
      return `${mtimeMs} ${size} ${ino}`;
    } catch {
      // Not there is the usual case; what else is wrong with it, reading it will say.
      return "none";
    }
  }

  #read(isGone: boolean): void {
    if (isGone) {
      this.#table = LIST_PRICES;
      return;
    }
    try {
      const own = tableOf(pricesFile.parse(JSON.parse(readFileSync(this.#path, "utf8"))));
      this.#table = { ...LIST_PRICES, ...own };
    } catch (error) {
      const reason = error instanceof Error ? error.message.replace(/\s+/g, " ").slice(0, 300) : String(error);
      this.#report(
        `${this.#path} is not used: ${reason}. It must hold {"model-id": {"input": 3, "output": 15}, …} in dollars per ` +
          "million tokens. The prices known before go on to hold.",
      );
    }
  }
}
