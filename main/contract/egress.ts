/** What a sandbox may reach: the broker decides by it, the sandbox's network closes and explains by it. */

/** Ports that the contract's host patterns stand for, since a pattern cannot name one: plain and encrypted web. */
export const EGRESS_PORTS: readonly number[] = [80, 443];

/**
 * IPv4 ranges that no sandbox reaches, whatever its environment allows: the machine itself, private networks,
 * link-local with the metadata services of clouds, shared address space (RFC 6598), protocol and benchmark ranges,
 * 6to4 relays, multicast and reserved ranges; last, the platform address of one cloud that looks public.
 */
export const CLOSED_IPV4: readonly string[] = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "168.63.129.16/32",
];

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/;

/**
 * The form of a host name that is compared: lower case, without the dot of the root. Null for what is neither a name nor
 * an IPv4 address in its usual form: other notations of addresses (`0x7f.1`, `2130706433`, `[::1]`) are no names.
 */
export function canonicalHost(host: string): string | null {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (name.length > 253) return null;
  if (IPV4.test(name)) return name;
  const labels = name.split(".");
  const last = labels.at(-1) ?? "";
  if (/^(\d+|0x[0-9a-f]*)$/.test(last)) return null;
  return labels.every((label) => LABEL.test(label)) ? name : null;
}

/** True for an IPv4 address in its usual form. */
export const isIpv4Literal = (host: string): boolean => IPV4.test(host);

/**
 * The first pattern that `host` (canonical) matches: `example.com` is that name alone, `*.example.com` every name below
 * it but not the name itself. An address matches only its own literal.
 */
export function matchingPattern(patterns: readonly string[], host: string): string | null {
  return patterns.find((pattern) => matches(pattern.toLowerCase(), host)) ?? null;
}

function matches(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === host;
  const suffix = pattern.slice(1);
  return host.length > suffix.length && host.endsWith(suffix) && !isIpv4Literal(host);
}
