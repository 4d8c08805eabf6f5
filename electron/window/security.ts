/** What the window's pages may not do, whatever they contain: leave Longhaul, open windows, get permissions, run foreign code. */
import { type Session, shell, type WebContents } from "electron";
import { mayOpenOutside } from "../../main/contract/shell.ts";

/** Copying to the clipboard is what the copy buttons do; nothing else is granted. */
const GRANTED = "clipboard-sanitized-write";

/** Set on every response that has none of its own, should the engine ever forget it. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Locks down a browser session. `origin` is asked each time: the engine's port can change. */
export function secureSession(session: Session, origin: () => string | null): void {
  const isGranted = (permission: string, url: string): boolean => permission === GRANTED && originOf(url) === origin();
  session.setPermissionRequestHandler((_contents, permission, decide, details) => {
    decide(isGranted(permission, details.requestingUrl));
  });
  session.setPermissionCheckHandler((_contents, permission, requesting) => isGranted(permission, requesting));
  session.setDevicePermissionHandler(() => false);
  session.webRequest.onHeadersReceived((details, decide) => {
    const headers = { ...details.responseHeaders };
    const hasPolicy = Object.keys(headers).some((name) => name.toLowerCase() === "content-security-policy");
    if (!hasPolicy) headers["Content-Security-Policy"] = [CONTENT_SECURITY_POLICY];
    decide({ responseHeaders: headers });
  });
}

/** Keeps a page where it is: other addresses open in the system's browser if they may be, and nowhere otherwise. */
export function secureContents(contents: WebContents, origin: () => string | null): void {
  const stay = (details: { url: string; preventDefault: () => void }): void => {
    if (originOf(details.url) === origin()) return;
    details.preventDefault();
    void openOutside(details.url);
  };
  contents.on("will-navigate", stay);
  contents.on("will-redirect", stay);
  contents.on("will-frame-navigate", (details) => {
    if (!details.isMainFrame) details.preventDefault();
  });
  contents.on("will-attach-webview", (event) => event.preventDefault());
  contents.setWindowOpenHandler(({ url }) => {
    void openOutside(url);
    return { action: "deny" };
  });
}

/** Opens a page in the system's browser; false when its address may not be opened or nothing could open it. Never rejects. */
export async function openOutside(url: unknown): Promise<boolean> {
  if (typeof url !== "string" || !mayOpenOutside(url)) return false;
  try {
    await shell.openExternal(url);
    return true;
  } catch {
    return false;
  }
}

function originOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).origin : null;
}
