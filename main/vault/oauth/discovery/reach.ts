/**
 * Where a sign-in may send requests. Addresses of authorization servers come from documents that anyone may have written,
 * so they must not lead the broker into this machine or its networks, unless the MCP server that a person named is there.
 */
import { lookup as systemLookup } from "node:dns/promises";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { isPublicAddress, ownAddresses } from "../../egress/addresses.ts";
import { Refusal } from "../../refusal.ts";

/** All addresses of a name. Rejects when there are none. */
export type ResolveName = (name: string) => Promise<string[]>;

const resolveBySystem: ResolveName = async (name) =>
  (await systemLookup(name, { all: true })).map(({ address }) => address);

const privateNetworks = new BlockList();
for (const [network, bits] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
] as const) {
  privateNetworks.addSubnet(network, bits, "ipv4");
}
privateNetworks.addSubnet("fc00::", 7, "ipv6");
const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

type Kind = "public" | "private" | "loopback" | "closed";

/** `closed`: link-local with the metadata services of clouds, multicast, reserved. No sign-in leads there. */
function kindOf(address: string): Kind {
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (isIP(address) === 0) return "closed";
  if (loopback.check(address, family)) return "loopback";
  if (privateNetworks.check(address, family) || ownAddresses().has(address)) return "private";
  return isPublicAddress(address) ? "public" : "closed";
}

const bare = (hostname: string): string => hostname.replace(/^\[|\]$/g, "");

/** True for the names and addresses that are this machine wherever they are read. */
export function isLoopbackHost(hostname: string): boolean {
  const host = bare(hostname).toLowerCase();
  return host === "localhost" || (isIP(host) !== 0 && kindOf(host) === "loopback");
}

export class Reach {
  readonly #allowed: ReadonlySet<Kind>;
  readonly #resolve: ResolveName;

  private constructor(allowed: readonly Kind[], resolve: ResolveName) {
    this.#allowed = new Set(allowed);
    this.#resolve = resolve;
  }

  /** What the address of an MCP server, which a person named, opens. A name that does not resolve opens nothing. */
  static async of(mcpServerUrl: string, resolve: ResolveName = resolveBySystem): Promise<Reach> {
    const host = bare(new URL(mcpServerUrl).hostname);
    // By its name alone: whoever owns a name can make it resolve to this machine.
    if (isLoopbackHost(host)) return new Reach(["public", "private", "loopback"], resolve);
    const found = isIP(host) === 0 ? await resolve(host).catch(() => []) : [host];
    const isPrivate = found.length > 0 && found.every((address) => kindOf(address) === "private");
    return new Reach(isPrivate ? ["public", "private"] : ["public"], resolve);
  }

  /**
   * The URL, when its form is one that a sign-in may use.
   * @param what it is for, in words
   * @throws Refusal that says why not
   */
  check(text: string, what: string): URL {
    const url = URL.parse(text);
    if (url === null || text.length > 2048) throw refused(what, "is not a URL");
    const local = isLoopbackHost(url.hostname);
    if (url.protocol !== "https:" && !(url.protocol === "http:" && local)) {
      throw refused(what, "is not https, so that others could read what is sent there");
    }
    if (url.username !== "" || url.password !== "") throw refused(what, "contains a user name");
    const host = bare(url.hostname);
    const kind = local ? "loopback" : isIP(host) === 0 ? null : kindOf(host);
    if (kind !== null && !this.#allowed.has(kind)) throw refused(what, INSIDE);
    return url;
  }

  /** Resolves names to addresses that may be connected to; fails for a name that has none. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.#resolve(hostname).then(
      (found) => {
        const local = isLoopbackHost(hostname);
        const open = found.filter((address) => {
          const kind = kindOf(address);
          return local
            ? kind === "loopback" && this.#allowed.has(kind)
            : kind !== "loopback" && this.#allowed.has(kind);
        });
        const list = open.map((address) => ({ address, family: isIP(address) }));
        const [first] = list;
        if (first === undefined) return callback(Object.assign(new Error(INSIDE), { code: "ECLOSED" }), "", 0);
        if (options.all === true) return callback(null, list);
        callback(null, first.address, first.family);
      },
      (error: NodeJS.ErrnoException) => callback(error, "", 0),
    );
  };
}

const INSIDE = "leads into this machine or a private network, although the MCP server is elsewhere";

function refused(what: string, why: string): Refusal {
  const text = `${what} ${why}. Nothing was sent there. Tell whoever runs the MCP server, or check its address.`;
  return new Refusal(400, "invalid_request_error", text, "endpoint_misconfigured");
}
