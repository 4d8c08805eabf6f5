/** A connection to one of a destination's checked addresses. */
import { connect, type Socket } from "node:net";
import { isIpv4Literal } from "../../contract/egress.ts";
import { isPublicAddress } from "./addresses.ts";
import type { Destination } from "./policies.ts";
import { EgressRefusal } from "./refusal.ts";
import type { Resolver } from "./resolver.ts";

export interface DialOptions {
  /** Whose connection it is. */
  sessionId: string;
  resolver: Resolver;
  /** Milliseconds until the connection stands, the name's lookup included. */
  connectMs: number;
  /** Where a checked address is really dialled: tests put a server of their own in the internet's place. */
  target: (address: string, port: number) => { host: string; port: number };
  signal: AbortSignal;
}

/** Milliseconds that one address gets while others are left. */
const ATTEMPT_MS = 3_000;

/** Resolves with an open connection. Rejects with {@link EgressRefusal}. */
export async function dial(destination: Destination, options: DialOptions): Promise<Socket> {
  const { host, port } = destination;
  const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(options.connectMs)]);
  const found = isIpv4Literal(host) ? [host] : await options.resolver.addresses(options.sessionId, host, deadline);
  const open = found.filter((address) => isPublicAddress(address));
  if (open.length === 0) {
    const text = `${host} leads to an address of this machine, a private network or a metadata service, which no sandbox reaches.`;
    throw new EgressRefusal("address", text);
  }
  let reason = "";
  for (const [index, address] of open.slice(0, 6).entries()) {
    const last = index === Math.min(open.length, 6) - 1;
    const signal = last ? deadline : AbortSignal.any([deadline, AbortSignal.timeout(ATTEMPT_MS)]);
    const outcome = await attempt(options.target(address, port), signal);
    if (typeof outcome !== "string") return outcome;
    reason = outcome;
    if (deadline.aborted) break;
  }
  throw new EgressRefusal("unreachable", `${host}:${port} is allowed but could not be reached (${reason}).`);
}

/** An open connection, or the reason why there is none. */
function attempt(target: { host: string; port: number }, signal: AbortSignal): Promise<Socket | string> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve("it took too long");
    // `host` is an address: nothing is resolved a second time.
    const socket = connect({ ...target, allowHalfOpen: true, noDelay: true });
    const settle = (outcome: Socket | string) => {
      signal.removeEventListener("abort", stop);
      socket.removeAllListeners("connect");
      if (typeof outcome === "string") socket.destroy();
      resolve(outcome);
    };
    const stop = () => settle("it took too long");
    signal.addEventListener("abort", stop, { once: true });
    socket.once("connect", () => settle(socket));
    // Stays: a late error of a socket nobody listens to would end the broker.
    socket.on("error", (error: NodeJS.ErrnoException) => settle(error.code ?? "no reason given"));
  });
}
