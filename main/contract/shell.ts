/** What the Electron shell offers its page as `window.longhaul`. In a browser it is absent: use the API alone there. */

export interface ShellBridge {
  platform: string;
  /** Opens the system's folder chooser; null when the person cancelled. */
  pickFolder(): Promise<string | null>;
  /** Opens a page in the system's browser; false when the address may not be opened ({@link mayOpenOutside}) or nothing could. */
  openExternal(url: string): Promise<boolean>;
}

/**
 * True for addresses that may be handed to the system's browser: https, and http on this machine itself. Other schemes
 * start programs, and plain http would show a sign-in to the network.
 */
export function mayOpenOutside(address: string): boolean {
  const url = URL.parse(address);
  if (url === null || url.username !== "" || url.password !== "") return false;
  if (url.protocol === "https:") return true;
  return url.protocol === "http:" && /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
}
