import { expect, test } from "vitest";
import type { Work } from "../../contract/work.ts";
import { chooseSession } from "../resume.ts";

async function* list(...rows: [string, Work][]): AsyncGenerator<{ id: string; work: Work }> {
  for (const [id, work] of rows) yield { id, work };
}

test("the first session with work left is resumed, else the last active one, else none", async () => {
  expect(await chooseSession(list(["a", "none"], ["b", "stopped"], ["c", "now"]))).toBe("b");
  expect(await chooseSession(list(["a", "client"]))).toBe("a");
  expect(await chooseSession(list(["a", "none"], ["b", "none"]))).toBe("a");
  expect(await chooseSession(list())).toBeNull();
});
