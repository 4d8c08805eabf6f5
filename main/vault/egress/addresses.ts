/** Which addresses the egress route may connect to: public ones, and none of this machine. */
import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { CLOSED_IPV4 } from "../../contract/egress.ts";

const closed4 = new BlockList();
for (const range of CLOSED_IPV4) {
  const [network = "", bits = ""] = range.split("/");
  closed4.addSubnet(network, Number(bits), "ipv4");
}

/** Everything but global unicast is closed: loopback, mapped, link-local, unique local, site-local, multicast. */
const open6 = new BlockList();
open6.addSubnet("2000::", 3, "ipv6");
/** Parts of global unicast that lead elsewhere: Teredo, ORCHID, documentation. */
const closed6 = new BlockList();
closed6.addSubnet("2001::", 23, "ipv6");
closed6.addSubnet("2001:db8::", 32, "ipv6");

/**
 * True when a connection to this address leaves for the internet. An IPv6 address that carries an IPv4 one (NAT64's
 * well-known prefix, 6to4) is judged by the one inside; an IPv4-mapped one is always refused.
 * @param own addresses of this machine; a public one among them leads to its own services
 */
export function isPublicAddress(address: string, own: ReadonlySet<string> = ownAddresses()): boolean {
  const family = isIP(address);
  if (family === 0 || own.has(address)) return false;
  if (family === 4) return !closed4.check(address, "ipv4");
  const bytes = ipv6Bytes(address);
  if (bytes === null) return false;
  const carried = carriedIpv4(bytes);
  if (carried !== null) return !own.has(carried) && !closed4.check(carried, "ipv4");
  return open6.check(address, "ipv6") && !closed6.check(address, "ipv6");
}

/** Addresses of this machine's interfaces, read anew: they change with the network. */
export function ownAddresses(): Set<string> {
  const found = new Set<string>();
  for (const list of Object.values(networkInterfaces())) for (const { address } of list ?? []) found.add(address);
  return found;
}

function carriedIpv4(bytes: readonly number[]): string | null {
  const nat64 = [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];
  if (nat64.every((byte, index) => bytes[index] === byte)) return bytes.slice(12).join(".");
  if (bytes[0] === 0x20 && bytes[1] === 0x02) return bytes.slice(2, 6).join(".");
  return null;
}

/** The 16 bytes of an IPv6 address without a zone; null when it has one, since a zone means this link. */
function ipv6Bytes(address: string): number[] | null {
  if (address.includes("%")) return null;
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const hex = (high: string | undefined, low: string | undefined) => ((Number(high) << 8) | Number(low)).toString(16);
  const plain = dotted === null ? address : `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}`;
  const [head = "", tail] = plain.split("::");
  const groups = (text: string | undefined) => (text === undefined || text === "" ? [] : text.split(":"));
  const before = groups(head);
  const after = groups(tail);
  const zeros = new Array<string>(8 - before.length - after.length).fill("0");
  return [...before, ...zeros, ...after].flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
