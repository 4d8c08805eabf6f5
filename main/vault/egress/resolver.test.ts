import { expect, test } from "vitest";
import { Resolver } from "./resolver.ts";

/** A resolver whose lookups the test answers. */
function rig() {
  const asked = new Map<string, (addresses: string[]) => void>();
  const order: string[] = [];
  const resolver = new Resolver((host) => {
    order.push(host);
    return new Promise((resolve) => asked.set(host, resolve));
  });
  return { resolver, asked, order };
}

const never = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("names of one session that never resolve do not hold up another session", async () => {
  const { resolver, asked } = rig();
  for (let index = 0; index < 128; index++) void resolver.addresses("a", `x${index}.test`, never);
  const other = resolver.addresses("b", "b.test", never);
  asked.get("b.test")?.(["203.0.113.1"]);
  expect(await other).toEqual(["203.0.113.1"]);
});

test("what nobody waits for any longer is not looked up", async () => {
  const { resolver, asked, order } = rig();
  const left = new AbortController();
  const first = resolver.addresses("a", "first.test", never);
  const gone = Array.from({ length: 1_000 }, (_, index) => resolver.addresses("a", `x${index}.test`, left.signal));
  const last = resolver.addresses("a", "last.test", never);
  left.abort();
  for (const outcome of await Promise.allSettled(gone)) expect(outcome.status).toBe("rejected");
  asked.get("first.test")?.(["203.0.113.1"]);
  await first;
  await turn();
  asked.get("last.test")?.(["203.0.113.2"]);
  expect(await last).toEqual(["203.0.113.2"]);
  expect(order).toEqual(["first.test", "last.test"]);
});

test("sessions take turns, and one lookup serves all who ask for it", async () => {
  const { resolver, asked, order } = rig();
  const wanted = [
    resolver.addresses("a", "a1.test", never),
    resolver.addresses("a", "a2.test", never),
    resolver.addresses("b", "b1.test", never),
    resolver.addresses("c", "c1.test", never),
    resolver.addresses("a", "a1.test", never),
  ];
  while (order.length < 4) {
    asked.get(order.at(0) ?? "")?.(["203.0.113.1"]);
    for (const host of order) asked.get(host)?.(["203.0.113.1"]);
    await turn();
  }
  for (const host of order) asked.get(host)?.(["203.0.113.1"]);
  await Promise.all(wanted);
  expect(order).toEqual(["a1.test", "b1.test", "c1.test", "a2.test"]);
});
