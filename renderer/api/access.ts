/** Who we are to the engine: the token from signing in, kept where a reload finds it. */

const KEY = "longhaul.token";

let token: string | null = null;
const watchers = new Set<() => void>();

function readStored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    // Storage can be switched off; signing in then lasts as long as the page.
    return null;
  }
}

export function accessToken(): string | null {
  token ??= readStored();
  return token;
}

/** Keeps a new token, or forgets the old one when the engine refuses it (null). */
export function setAccessToken(next: string | null): void {
  token = next;
  try {
    if (next === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    token = next;
  }
  for (const watcher of watchers) watcher();
}

/** Calls `watcher` when the token changes. Returns the unsubscriber. */
export function watchAccess(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}
