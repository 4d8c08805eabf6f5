import { expect, test } from "vitest";
import { canonicalHost, matchingPattern } from "../../contract/egress.ts";
import { isPublicAddress, ownAddresses } from "./addresses.ts";

const NONE = new Set<string>();

test.each([
  ["this network", "0.0.0.0"],
  ["loopback", "127.0.0.1"],
  ["loopback, far end", "127.255.255.254"],
  ["private 10", "10.0.0.1"],
  ["private 172.16", "172.31.255.255"],
  ["private 192.168", "192.168.1.1"],
  ["metadata", "169.254.169.254"],
  ["shared address space", "100.64.0.1"],
  ["a cloud's metadata in shared space", "100.100.100.200"],
  ["a cloud's platform address", "168.63.129.16"],
  ["protocol assignments", "192.0.0.192"],
  ["benchmarks", "198.19.255.255"],
  ["multicast", "224.0.0.251"],
  ["reserved", "240.0.0.1"],
  ["broadcast", "255.255.255.255"],
  ["IPv6 unspecified", "::"],
  ["IPv6 loopback", "::1"],
  ["IPv6 link-local", "fe80::1"],
  ["IPv6 link-local with a zone", "fe80::1%eth0"],
  ["a public address with a zone", "2606:4700::1%eth0"],
  ["IPv6 unique local", "fd00:ec2::254"],
  ["IPv6 site-local", "fec0::1"],
  ["IPv6 multicast", "ff02::1"],
  ["IPv4-mapped loopback", "::ffff:127.0.0.1"],
  ["IPv4-mapped public", "::ffff:1.1.1.1"],
  ["IPv4-mapped in hex", "::ffff:7f00:1"],
  ["IPv4-compatible", "::127.0.0.1"],
  ["NAT64 of a private address", "64:ff9b::10.0.0.1"],
  ["NAT64 of metadata in hex", "64:ff9b::a9fe:a9fe"],
  ["local NAT64", "64:ff9b:1::1"],
  ["6to4 of a private address", "2002:c0a8:101::1"],
  ["Teredo", "2001:0:53aa:64c::1"],
  ["documentation", "2001:db8::1"],
  ["no address", "example.com"],
  ["nothing", ""],
])("%s is closed: %s", (_name, address) => {
  expect(isPublicAddress(address, NONE)).toBe(false);
});

test.each(["1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "2606:4700::1111", "64:ff9b::8.8.8.8"])(
  "%s is open",
  (address) => expect(isPublicAddress(address, NONE)).toBe(true),
);

test("a public address of this machine is closed", () => {
  expect(isPublicAddress("1.2.3.4", new Set(["1.2.3.4"]))).toBe(false);
  expect(isPublicAddress("64:ff9b::1.2.3.4", new Set(["1.2.3.4"]))).toBe(false);
  expect(ownAddresses()).toContain("127.0.0.1");
});

test.each([
  ["EXAMPLE.com.", "example.com"],
  ["a_b.example.com", "a_b.example.com"],
  ["8.8.8.8", "8.8.8.8"],
  ["2130706433", null],
  ["0x7f000001", null],
  ["127.1", null],
  ["0177.0.0.1", null],
  ["1.2.3.4.", "1.2.3.4"],
  ["[::1]", null],
  ["::1", null],
  ["exa mple.com", null],
  ["a..b", null],
  ["", null],
  [".", null],
  ["-a.com", null],
  ["é.com", null],
  [`${"a".repeat(64)}.com`, null],
  [`${"a.".repeat(130)}com`, null],
])("the host %j is compared as %j", (host, expected) => expect(canonicalHost(host)).toBe(expected));

test.each([
  ["example.com", "example.com", true],
  ["example.com", "www.example.com", false],
  ["*.example.com", "www.example.com", true],
  ["*.example.com", "a.b.example.com", true],
  ["*.example.com", "example.com", false],
  ["*.example.com", "badexample.com", false],
  ["*.Example.com", "www.example.com", true],
  ["*.0.0.1", "10.0.0.1", false],
  ["10.0.0.1", "10.0.0.1", true],
])("%s matches %s: %s", (pattern, host, expected) => {
  expect(matchingPattern(["other.test", pattern], host)).toBe(expected ? pattern : null);
});
