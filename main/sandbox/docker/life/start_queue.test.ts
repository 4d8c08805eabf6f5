import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { StartQueue } from "./start_queue.ts";

test("never more at once than there are places, in the order in which they came, failures included", async () => {
  const queue = new StartQueue(2);
  const begun: number[] = [];
  let [now, most] = [0, 0];
  const works = Array.from({ length: 7 }, (_, i) =>
    queue.run(async () => {
      begun.push(i);
      now += 1;
      most = Math.max(most, now);
      await sleep(2);
      now -= 1;
      if (i % 3 === 0) throw new Error(`no ${i}`);
      return i;
    }),
  );
  const results = await Promise.allSettled(works);
  expect(most).toBe(2);
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6]);
  expect(results.map((result) => result.status[0]).join("")).toBe("rffrffr");
  expect(await queue.run(() => Promise.resolve("free again"))).toBe("free again");
});
