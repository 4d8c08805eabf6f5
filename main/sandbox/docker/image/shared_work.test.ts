import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { type Listener, SharedWork, step, throttled } from "./shared_work.ts";

function listener(): Listener & { told: string[] } {
  const told: string[] = [];
  return {
    told,
    onStep: ({ step: name, error }) => told.push(`${name}: ${error}`),
    onProgress: (text) => told.push(text),
  };
}

test("those who need the same at the same time share it, and each is told", async () => {
  const shared = new SharedWork();
  const [one, two] = [listener(), listener()];
  let runs = 0;
  const work = async (tell: Listener): Promise<number> => {
    runs += 1;
    await sleep(5);
    tell.onProgress("half");
    return step("pull", tell, () => Promise.resolve(runs));
  };
  const both = await Promise.all([shared.run("a", one, undefined, work), shared.run("a", two, undefined, work)]);
  expect(both).toEqual([1, 1]);
  expect([one.told, two.told]).toEqual([
    ["half", "pull: null"],
    ["half", "pull: null"],
  ]);
  expect(await shared.run("a", one, undefined, work)).toBe(2);
});

test("a failure is told to all, is a step with its error, and is not kept", async () => {
  const shared = new SharedWork();
  const [one, two] = [listener(), listener()];
  const failing = (tell: Listener): Promise<never> => step("pull", tell, () => Promise.reject(new Error("no network")));
  const results = await Promise.allSettled([
    shared.run("a", one, undefined, failing),
    shared.run("a", two, undefined, failing),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(one.told).toEqual(["pull: no network"]);
  expect(await shared.run("a", one, undefined, () => Promise.resolve("well"))).toBe("well");
});

test("one that leaves does not end it for the others; when the last leaves it ends", async () => {
  const shared = new SharedWork();
  const [first, second] = [new AbortController(), new AbortController()];
  let ended = false;
  const work = (_tell: Listener, signal: AbortSignal): Promise<string> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => {
        ended = true;
        reject(new Error("ended"));
      });
    });
  const one = shared.run("a", listener(), first.signal, work);
  const two = shared.run("a", listener(), second.signal, work);
  first.abort();
  await expect(one).rejects.toThrow(/abort/i);
  expect(ended).toBe(false);
  second.abort();
  await expect(two).rejects.toThrow(/abort/i);
  expect(ended).toBe(true);
  // And whoever comes then does not get the ended one.
  expect(await shared.run("a", listener(), undefined, () => Promise.resolve("new"))).toBe("new");
  await expect(shared.run("a", listener(), first.signal, work)).rejects.toThrow(/abort/i);
});

test("progress is told at once, then now and then, and its last line always", async () => {
  const told: string[] = [];
  const progress = throttled(30, (text) => told.push(text));
  for (let n = 0; n < 100; n += 1) progress.tell(`line ${n}`);
  expect(told).toEqual(["line 0"]);
  await sleep(60);
  expect(told).toEqual(["line 0", "line 99"]);
  progress.tell("late");
  progress.tell("last");
  progress.end();
  expect(told.at(-1)).toBe("last");
});
