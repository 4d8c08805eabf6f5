/** Where CONNECT leads: attempts to reach what the environment does not allow, or this machine and its networks. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cleanUp } from "../mcp/testing/granted.ts";
import { PUBLIC_ADDRESS, raw, type World, world } from "./testing/world.ts";

let all: World;
let leadsTo: string[] = [];
beforeAll(async () => {
  all = await world({ egress: { resolve: () => Promise.resolve(leadsTo) } });
});
beforeEach(() => {
  leadsTo = [PUBLIC_ADDRESS];
  all.forget();
});
afterAll(cleanUp);

const connect = (authority: string, ...lines: string[]) => {
  const head = [`CONNECT ${authority} HTTP/1.1`, `proxy-authorization: Bearer ${all.broker.token}`, ...lines];
  return raw(all.broker.url, `${head.join("\r\n")}\r\n\r\n`);
};

test("the proof: an allowed host is connected", async () => {
  expect((await connect("example.com:443")).status).toBe(200);
  expect(all.arrived()).toBe(1);
});

async function refused(authority: string, ...lines: string[]): Promise<void> {
  const answer = await connect(authority, ...lines);
  expect([400, 403]).toContain(answer.status);
  expect(all.arrived()).toBe(0);
}

describe("an address in the place of a name", () => {
  test.each([
    ["loopback", "127.0.0.1:443"],
    ["loopback, shortened", "127.1:443"],
    ["loopback as a decimal", "2130706433:443"],
    ["loopback in hex", "0x7f000001:443"],
    ["loopback in hex, dotted", "0x7f.0.0.1:443"],
    ["loopback in octal", "0177.0.0.1:443"],
    ["loopback with zeros", "127.000.000.001:443"],
    ["the unspecified address", "0.0.0.0:443"],
    ["nought", "0:443"],
    ["a number that is too large", "4294967297:443"],
    ["the metadata service", "169.254.169.254:80"],
    ["the metadata service as a decimal", "2852039166:80"],
    ["a private address that is allowed by name", "10.0.0.1:443"],
    ["the same as a decimal", "167772161:443"],
    ["a public address that is not allowed", "1.1.1.1:443"],
    ["loopback of IPv6", "[::1]:443"],
    ["the same without brackets", "::1:443"],
    ["the same written out", "[0:0:0:0:0:0:0:1]:443"],
    ["loopback, mapped", "[::ffff:127.0.0.1]:443"],
    ["loopback, mapped, in hex", "[::ffff:7f00:1]:443"],
    ["an address with a zone", "[fe80::1%25eth0]:443"],
    ["a translated address", "[64:ff9b::7f00:1]:443"],
    ["an allowed name in brackets", "[example.com]:443"],
  ])("%s", (_name, authority) => refused(authority));
});

describe("a name that is nearly an allowed one", () => {
  test.each([
    ["a NUL within", "example.com\0.evil.test:443"],
    ["a NUL at the end", "example.com\0:443"],
    ["an encoded NUL", "example.com%00.evil.test:443"],
    ["an encoded dot", "example%2ecom:443"],
    ["two dots at the end", "example.com..:443"],
    ["a dot in front", ".example.com:443"],
    ["two dots within", "example..com:443"],
    ["a Cyrillic letter", "ex\xd0\xb0mple.com:443"],
    ["the same in Punycode", "xn--exmple-4nf.com:443"],
    ["full width letters", "\xef\xbd\x85xample.com:443"],
    ["an ideographic full stop", "example\xe3\x80\x82com:443"],
    ["a soft hyphen", "exam\xc2\xadple.com:443"],
    ["a star", "*.example.org:443"],
    ["the bare name of a wildcard", "example.org:443"],
    ["a longer name", "example.com.evil.test:443"],
    ["a longer name without a dot", "notexample.com:443"],
    ["a user", "example.com@evil.test:443"],
    ["a user who is the allowed name", "evil.test@example.com:443"],
    ["two ports", "example.com:443:22"],
    ["a port in hex", "example.com:0x1bb"],
    ["a port with a sign", "example.com:+443"],
    ["another port", "example.com:22"],
    ["port 0", "example.com:0"],
    ["a port that overflows", "example.com:65979"],
    ["a port of other digits", "example.com:\xd9\xa4\xd9\xa4\xd9\xa3"],
    ["a path", "example.com:443/x"],
    ["a query", "example.com:443?x"],
    ["a fragment", "evil.test#example.com:443"],
    ["a backslash", "example.com\\evil.test:443"],
    ["an underscore label of 64", `${"a".repeat(64)}.example.org:443`],
    ["a name of 300 characters", `${"a.".repeat(150)}example.org:443`],
    ["a whole address", "https://example.com:443"],
    ["nothing", ":443"],
  ])("%s", (_name, authority) => refused(authority));
});

describe("a name that leads elsewhere", () => {
  test.each([
    ["loopback", ["127.0.0.1"]],
    ["a private network", ["192.168.1.1"]],
    ["the metadata service", ["169.254.169.254"]],
    ["carrier-grade NAT", ["100.64.0.1"]],
    ["loopback of IPv6 and a mapped one", ["::1", "::ffff:127.0.0.1"]],
    ["link-local, with a zone", ["fe80::1%lo"]],
    ["loopback behind a translator", ["64:ff9b::7f00:1", "2002:7f00:1::"]],
    ["no address at all", []],
  ])("%s", async (_name, addresses) => {
    leadsTo = addresses;
    await refused("example.com:443");
    await refused("a.example.org:80");
  });

  test("a public and a private address: the private one is never dialled", async () => {
    const dialled: string[] = [];
    const own = await world({
      egress: {
        resolve: () => Promise.resolve(["127.0.0.1", PUBLIC_ADDRESS, "10.0.0.1"]),
        target: (address) => {
          dialled.push(address);
          return { host: "127.0.0.1", port: 1 };
        },
      },
    });
    const proxy = `proxy-authorization: Bearer ${own.broker.token}`;
    expect((await raw(own.broker.url, `CONNECT example.com:443 HTTP/1.1\r\n${proxy}\r\n\r\n`)).status).toBe(502);
    expect(dialled).toEqual([PUBLIC_ADDRESS]);
  });
});

describe("fronting and bodies", () => {
  test("a Host that differs from the destination", async () => {
    await refused("example.com:443", "host: evil.test:443");
    await refused("example.com:443", "host: evil.test");
    await refused("a.example.org:443", "host: example.com:443");
  });

  test("two of them, and none of them the broker's", () =>
    refused("example.com:443", "host: example.com:443", "host: evil.test"));

  test("a body", async () => {
    await refused("example.com:443", "content-length: 5");
    await refused("example.com:443", "transfer-encoding: chunked");
  });

  test("the destination in another header", async () => {
    await refused("evil.test:443", "x-forwarded-host: example.com", "forwarded: host=example.com");
  });
});
