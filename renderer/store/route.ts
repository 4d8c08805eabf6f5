/** Where the person is: kept in the address, so that a reload, a second window and a shared link show the same. */
import { create } from "zustand";

export type Route =
  | { screen: "home" }
  | { screen: "new" }
  | { screen: "settings" }
  /** `server`: address of an MCP server to connect; `vault`: id of the vault that it is for. Both null for the list alone. */
  | { screen: "connections"; server: string | null; vault: string | null }
  | { screen: "session"; id: string; event: string | null };

export const CONNECTIONS: Route = { screen: "connections", server: null, vault: null };

/** Reads the part of an address after `#`; what it does not know is home. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?");
  const [, first, second] = path.split("/");
  if (first === "new") return { screen: "new" };
  if (first === "settings") return { screen: "settings" };
  if (first === "connections") {
    const asked = new URLSearchParams(query);
    return { screen: "connections", server: asked.get("server"), vault: asked.get("vault") };
  }
  if (first === "s" && second) {
    return { screen: "session", id: decodeURIComponent(second), event: new URLSearchParams(query).get("event") };
  }
  return { screen: "home" };
}

export function routeHash(route: Route): string {
  if (route.screen === "home") return "#/";
  if (route.screen === "new") return "#/new";
  if (route.screen === "settings") return "#/settings";
  if (route.screen === "connections") {
    const asked = Object.entries({ server: route.server, vault: route.vault }).filter(([, value]) => value !== null);
    const query = new URLSearchParams(asked as [string, string][]).toString();
    return query === "" ? "#/connections" : `#/connections?${query}`;
  }
  const query = route.event === null ? "" : `?event=${encodeURIComponent(route.event)}`;
  return `#/s/${encodeURIComponent(route.id)}${query}`;
}

export const useRoute = create<{ route: Route }>(() => ({ route: { screen: "home" } }));

/** Goes somewhere. `replace` leaves no step in the history: selecting rows is not a journey. */
export function go(route: Route, replace = false): void {
  const hash = routeHash(route);
  if (replace) history.replaceState(null, "", hash);
  else if (location.hash !== hash) history.pushState(null, "", hash);
  useRoute.setState({ route });
}

/** Follows the address from now on. */
export function startRouting(): void {
  const read = (): void => useRoute.setState({ route: parseRoute(location.hash) });
  addEventListener("popstate", read);
  addEventListener("hashchange", read);
  read();
}

/** The one-time code that a sign-in link carries, if the address is such a link. */
export function signInCode(hash: string): string | null {
  return /^#code=([^&]+)$/.exec(hash)?.[1] ?? null;
}
