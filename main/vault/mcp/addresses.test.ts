import { describe, expect, test } from "vitest";
import { Resolver } from "../egress/resolver.ts";
import type { Refusal } from "../refusal.ts";
import { checkedLookup, checkServerUrl, isExposed } from "./addresses.ts";

const outcome = (url: string): string => {
  try {
    checkServerUrl(new URL(url));
    return "ok";
  } catch (error) {
    return (error as Refusal).code ?? "";
  }
};

describe("addresses in the URL itself", () => {
  test.each([
    "http://127.0.0.1:3000/mcp",
    "http://[::1]:3000/mcp",
    "http://localhost/mcp",
    "http://192.168.1.5/",
    "http://10.0.0.1/",
    "http://[fd12::1]/",
    "https://mcp.example.com/",
    "http://100.64.0.7/",
    "https://8.8.8.8/",
  ])("%s may be one", (url) => expect(outcome(url)).toBe("ok"));

  test.each([
    "http://169.254.169.254/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://0.0.0.0/",
    "http://0/",
    "http://[::]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[fe80::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
  ])("%s is none", (url) => expect(outcome(url)).toBe("address_refused"));

  test("a URL with a password is not used", () =>
    expect(outcome("https://u:p@x.test/")).toBe("endpoint_misconfigured"));

  test.each([
    ["http://x.test/", true],
    ["http://8.8.8.8/", true],
    ["http://localhost.x.test/", true],
    ["https://x.test/", false],
    ["http://localhost:1/", false],
    ["http://127.0.0.1/", false],
    ["http://192.168.1.5/", false],
    ["http://[::1]/", false],
  ])("%s exposes a credential: %s", (url, exposed) => expect(isExposed(new URL(url))).toBe(exposed));
});

describe("names", () => {
  const look = (host: string, addresses: string[] | null, options = {}): Promise<unknown> => {
    const resolver = new Resolver(() =>
      addresses === null ? new Promise(() => undefined) : Promise.resolve(addresses),
    );
    const lookup = checkedLookup("s", resolver, (address) => address, 30);
    return new Promise((resolve) => {
      lookup(host, { all: true, ...options }, (error, found) =>
        resolve(error === null ? found : (error as Refusal).code),
      );
    });
  };

  test.each([
    [["127.0.0.1"]],
    [["10.1.2.3"]],
    [["169.254.169.254"]],
    [["::1", "fd00::1", "fe80::1"]],
    [["::ffff:8.8.8.8"]],
    [["64:ff9b::7f00:1"]],
    [["0.0.0.0"]],
    [[]],
  ])("one that leads to %j is refused", async (addresses) => {
    expect(await look("mcp.example.com", addresses)).toBe("address_refused");
    expect(await look("localhost.", addresses)).toBe("address_refused");
  });

  test("of several addresses the public ones are used", async () => {
    expect(await look("x.test", ["127.0.0.1", "203.0.113.9"])).toEqual([{ address: "203.0.113.9", family: 4 }]);
    expect(await look("x.test", ["2606:4700::1", "203.0.113.9"], { family: 6 })).toEqual([
      { address: "2606:4700::1", family: 6 },
    ]);
    expect(await look("x.test", ["2606:4700::1"], { family: 4 })).toBe("endpoint_unreachable");
  });

  test("localhost is this machine, whatever a name server says", async () => {
    expect(await look("localhost", ["203.0.113.9"])).toEqual([
      { address: "127.0.0.1", family: 4 },
      { address: "::1", family: 6 },
    ]);
  });

  test("a name server that does not answer in time", async () => {
    expect(await look("x.test", null)).toBe("endpoint_unreachable");
  });
});
