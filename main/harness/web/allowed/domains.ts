/** Which hosts an agent's settings let its web tools reach. */

interface DomainRules {
  allowed_domains?: readonly string[];
  blocked_domains?: readonly string[];
}

/**
 * True when the settings permit this URL. An entry means its host and every subdomain; a path behind the host (web
 * search only) means what lies below that path. What is no URL is not permitted.
 */
export function permitted(url: string, rules: DomainRules | null): boolean {
  const parsed = URL.parse(url);
  if (parsed === null) return false;
  const { hostname, pathname } = parsed;
  const under = (entry: string): boolean => covers(entry, hostname, pathname);
  if (rules?.allowed_domains !== undefined) return rules.allowed_domains.some(under);
  return !(rules?.blocked_domains ?? []).some(under);
}

function covers(entry: string, hostname: string, pathname: string): boolean {
  const slash = entry.indexOf("/");
  // A host may end with the root's dot: without this a block could be stepped around.
  const host = trimDot((slash === -1 ? entry : entry.slice(0, slash)).toLowerCase());
  const name = trimDot(hostname.toLowerCase());
  if (name !== host && !name.endsWith(`.${host}`)) return false;
  const path = slash === -1 ? "" : entry.slice(slash).replace(/\/+$/, "");
  return path === "" || pathname === path || pathname.startsWith(`${path}/`);
}

const trimDot = (host: string): string => host.replace(/\.$/, "");
