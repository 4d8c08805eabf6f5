/** The allow-list of each session, as the engine registered it. In memory: a restarted broker knows none and refuses. */
import { canonicalHost, EGRESS_PORTS, isIpv4Literal, matchingPattern } from "../../contract/egress.ts";
import { Refusal } from "../refusal.ts";
import { EgressRefusal } from "./refusal.ts";

export interface Destination {
  /** Canonical name or IPv4 address. */
  host: string;
  port: number;
  /** The pattern that allowed it. */
  rule: string;
  /** The sandbox trusts the certificates with which connections are decrypted to put values into requests. */
  intercept: boolean;
}

interface Policy {
  /** Null: every public host, on any port. */
  hosts: readonly string[] | null;
  intercept: boolean;
}

const MAX_HOSTS = 2_000;
const PATTERN = /^(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/i;

export class EgressPolicies {
  readonly #known = new Map<string, Policy>();

  /** Replaces the session's policy. Throws {@link Refusal} when `policy` is not one. */
  set(sessionId: string, policy: unknown): void {
    this.#known.set(sessionId, policyOf(policy));
  }

  forget(sessionId: string): void {
    this.#known.delete(sessionId);
  }

  /** What the session asks for, if its rules allow it. Throws {@link EgressRefusal}. @param authority `host:port` */
  decide(sessionId: string, authority: string): Destination {
    const asked = /^(\[[^\]]*\]|[^:@/?#\s]+):(\d{1,5})$/.exec(authority);
    const port = Number(asked?.[2]);
    if (asked === null || port < 1 || port > 65_535) {
      throw new EgressRefusal("malformed", "CONNECT needs host:port.");
    }
    const policy = this.#known.get(sessionId);
    if (policy === undefined) {
      throw new EgressRefusal("policy_unknown", "No allow-list is registered for this session, so nothing is allowed.");
    }
    const host = canonicalHost(asked[1] ?? "");
    if (host === null) {
      throw new EgressRefusal("host", "Only host names and IPv4 addresses in their usual form can be allowed.");
    }
    const { hosts, intercept } = policy;
    // Its sandbox reaches such hosts by itself; addresses are checked when they are dialled.
    if (hosts === null) return { host, port, rule: "unrestricted", intercept };
    const rule = matchingPattern(hosts, host);
    if (rule === null) {
      const what = isIpv4Literal(host) ? "The address" : "The host";
      throw new EgressRefusal("host", `${what} ${host} is not among the environment's allowed hosts.`);
    }
    if (!EGRESS_PORTS.includes(port)) {
      throw new EgressRefusal("port", `Port ${port} is closed: an allowed host stands for ports 80 and 443.`);
    }
    return { host, port, rule, intercept };
  }
}

function policyOf(policy: unknown): Policy {
  const wrong = (text: string) => new Refusal(400, "invalid_request_error", `policy: ${text}`);
  const { mode, intercept = false, allowed_hosts: hosts } = (policy ?? {}) as Record<string, unknown>;
  if (typeof intercept !== "boolean") throw wrong("intercept must be true or false.");
  // An unrestricted sandbox comes this way only for the values of its variables.
  if (mode === "unrestricted" && intercept) return { hosts: null, intercept };
  if (mode !== "limited") {
    throw wrong('must be {"mode": "limited", "allowed_hosts": [...]} or {"mode": "unrestricted", "intercept": true}.');
  }
  if (!Array.isArray(hosts) || hosts.length > MAX_HOSTS) {
    throw wrong(`allowed_hosts must be a list of at most ${MAX_HOSTS} host patterns.`);
  }
  const patterns = hosts.map((host: unknown, index) => {
    if (typeof host === "string" && host.length <= 253 && PATTERN.test(host)) return host.toLowerCase();
    throw wrong(`allowed_hosts[${index}] must be a host name such as "api.example.com" or "*.example.com".`);
  });
  return { hosts: patterns, intercept };
}
