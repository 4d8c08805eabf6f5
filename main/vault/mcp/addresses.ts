/**
 * Which addresses an MCP server may have. A person names servers, so an address of this machine or of the private network
 * may stand in the URL itself; a name that leads to one is refused, because whoever owns the name chose it.
 */
import { isIP, type LookupFunction } from "node:net";
import { isPublicAddress } from "../egress/addresses.ts";
import { EgressRefusal } from "../egress/refusal.ts";
import type { Resolver } from "../egress/resolver.ts";
import { Refusal } from "../refusal.ts";

/** Metadata services of clouds, and the addresses that stand for no host. No MCP server is there. */
const NOWHERE: readonly RegExp[] = [
  /^0\./,
  /^169\.254\./,
  /^(?:100\.100\.100\.200|168\.63\.129\.16|192\.0\.0\.192)$/,
  /^(?:22[4-9]|2[3-5]\d)\./,
  /^(?:::|fe[89ab][0-9a-f]:.*|ff[0-9a-f]{2}:.*|fd00:ec2:.*|fd20:ce:.*)$/,
];

/** The host of a URL without the brackets of an IPv6 address. */
const bareHost = (url: URL): string => url.hostname.replace(/^\[|\]$/g, "");

/** True when everybody on the way could read a credential: no encryption, and the way may leave the private network. */
export const isExposed = (url: URL): boolean =>
  url.protocol === "http:" &&
  url.hostname !== "localhost" &&
  (isIP(bareHost(url)) === 0 || isPublicAddress(bareHost(url)));

/** Throws {@link Refusal} when the URL can be no MCP server's. `url` comes from the grant, its host is canonical. */
export function checkServerUrl(url: URL): void {
  if (url.username !== "" || url.password !== "") {
    const text = `The address of the MCP server ${url.host} holds a user name or password. Leave it out and add a credential to a vault.`;
    throw new Refusal(400, "invalid_request_error", text, "endpoint_misconfigured");
  }
  const host = bareHost(url);
  if (isIP(host) === 0) return;
  // Mapped and translated forms lead to an IPv4 address that the pattern above does not show.
  const carries = /^(?:::ffff:|64:ff9b:|2002:|::[0-9a-f]+:[0-9a-f]+$)/.test(host);
  if (carries || NOWHERE.some((pattern) => pattern.test(host))) throw refusedAddress(host);
}

/**
 * A lookup for one request: it hands out only addresses that the name may have, and a connection is made to one of these
 * and no other. Fails with {@link Refusal}.
 * @param target where a checked address is really dialled: tests put a server of their own in the internet's place
 */
export function checkedLookup(
  sessionId: string,
  resolver: Resolver,
  target: (address: string) => string,
  lookupMs: number,
): LookupFunction {
  return (host, options, done) => {
    const answer = (addresses: string[]): void => {
      const found = addresses.map((address) => ({ address, family: isIP(address) }));
      const wanted = options.family === 4 || options.family === 6 ? options.family : 0;
      const fitting = found.filter(({ family }) => wanted === 0 || family === wanted);
      const [first] = fitting;
      if (first === undefined) return done(unresolved(host), "", 0);
      if (options.all === true) done(null, fitting);
      else done(null, first.address, first.family);
    };
    // Known without asking anyone: a name server that says otherwise is not believed.
    if (host === "localhost") return answer(["127.0.0.1", "::1"]);
    resolver.addresses(sessionId, host, AbortSignal.timeout(lookupMs)).then(
      (addresses) => {
        const open = addresses.filter((address) => isPublicAddress(address));
        if (open.length === 0) return done(refusedAddress(host), "", 0);
        answer(open.map(target));
      },
      (error: unknown) => done(error instanceof EgressRefusal ? unresolved(host) : (error as Error), "", 0),
    );
  };
}

function refusedAddress(host: string): Refusal {
  const text = `${host} leads to this machine, a private network or a metadata service, so nothing was sent. If the MCP server is really there, write its address itself in the agent, for example http://127.0.0.1:3000/mcp.`;
  return new Refusal(403, "permission_error", text, "address_refused");
}

function unresolved(host: string): Refusal {
  const text = `The MCP server ${host} cannot be reached: its name could not be resolved. Nothing is lost. Check the network, or correct the server's address in the agent.`;
  return new Refusal(502, "api_error", text, "endpoint_unreachable");
}
