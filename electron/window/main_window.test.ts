import { beforeEach, describe, expect, test, vi } from "vitest";
import { type FakeContents, preventable, reset, shell, windows } from "../testing/stand_in.ts";
import { fragmentOf, linkIn } from "./deep_link.ts";
import { MainWindow } from "./main_window.ts";

vi.mock("electron", () => import("../testing/stand_in.ts"));

const ENGINE = "http://127.0.0.1:4100";
const ID = "sesn_01KAJ0ABCDEFGHJKMNPQRSTVWX";

function make(mayClose = true) {
  let n = 0;
  const signInCode = vi.fn(() => Promise.resolve(`code${++n}`));
  const window = new MainWindow({
    preload: "/app/preload.cjs",
    icon: "/i.png",
    signInCode,
    mayClose: () => mayClose,
    log: vi.fn(),
  });
  return { window, signInCode };
}

async function opened() {
  const made = make();
  made.window.show();
  made.window.engineIs(ENGINE);
  await settle();
  return { ...made, native: only() };
}

const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

function only() {
  const [native] = windows;
  if (native === undefined) throw new Error("no window was made");
  return native;
}

beforeEach(reset);

describe("the page", () => {
  test("runs in a sandbox, isolated, without Node", async () => {
    const { native } = await opened();
    expect(native.options.webPreferences).toMatchObject({
      sandbox: true,
      contextIsolation: true,
      nodeIntegration: false,
      webSecurity: true,
      webviewTag: false,
    });
  });

  test("is loaded from the engine once it listens, with a one-time code in the fragment", async () => {
    const { window } = make();
    window.show();
    await settle();
    expect(only().loadURL).not.toHaveBeenCalled();
    window.engineIs(ENGINE);
    await settle();
    expect(only().loadURL.mock.calls).toEqual([[`${ENGINE}/#code=code1`]]);
  });

  test("stays when the engine is restarted on the same port, and is loaded anew when it moved", async () => {
    const { window, native } = await opened();
    window.engineIs(ENGINE);
    await settle();
    expect(native.loadURL).toHaveBeenCalledTimes(1);
    window.engineIs("http://127.0.0.1:4200");
    await settle();
    expect(native.loadURL.mock.lastCall).toEqual(["http://127.0.0.1:4200/#code=code2"]);
    expect(window.origin).toBe("http://127.0.0.1:4200");
  });

  test("that failed to load is loaded when the engine is ready again", async () => {
    const { window } = make();
    window.show();
    only().loadURL.mockImplementationOnce(() => Promise.reject(new Error("ERR_CONNECTION_REFUSED")));
    window.engineIs(ENGINE);
    await settle();
    window.engineIs(ENGINE);
    await settle();
    expect(only().loadURL).toHaveBeenCalledTimes(2);
  });

  test("that crashed is loaded again with a new code", async () => {
    const { native } = await opened();
    vi.useFakeTimers();
    native.webContents.emit("render-process-gone", {}, { reason: "crashed" });
    await vi.advanceTimersByTimeAsync(1000);
    vi.useRealTimers();
    expect(native.loadURL.mock.lastCall).toEqual([`${ENGINE}/#code=code2`]);
  });

  test("goes to a session without being loaded again, and waits for the load if need be", async () => {
    const { window } = make();
    window.goTo(`#/s/${ID}`);
    window.engineIs(ENGINE);
    await settle();
    expect(only().loadURL.mock.calls).toEqual([[`${ENGINE}/#code=code1`], [`${ENGINE}/#/s/${ID}`]]);
  });

  test("is made anew after the window was closed", async () => {
    const { window, native } = await opened();
    native.emit("closed");
    window.show();
    await settle();
    expect(windows).toHaveLength(2);
    expect(windows[1]?.loadURL).toHaveBeenCalledWith(`${ENGINE}/#code=code2`);
  });

  test("is hidden, not closed, when closing is not allowed", () => {
    make(false).window.show();
    const event = preventable();
    only().emit("close", event);
    expect(event.preventDefault).toHaveBeenCalled();
    expect(only().hide).toHaveBeenCalled();
  });
});

describe("what a page may not do", () => {
  function tries(contents: FakeContents, event: string, details: Record<string, unknown>): boolean {
    const offered = preventable(details);
    contents.emit(event, offered);
    return offered.preventDefault.mock.calls.length > 0;
  }

  test.each(["will-navigate", "will-redirect"])("%s: only within the engine's origin", async (event) => {
    const { native } = await opened();
    const refused = (url: string): boolean => tries(native.webContents, event, { url });
    expect(refused(`${ENGINE}/#/s/${ID}`)).toBe(false);
    for (const url of [
      "https://example.com/",
      "http://127.0.0.1:4101/",
      "http://127.0.0.1:4100.example.com/",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "data:text/html,x",
      "not a url",
    ]) {
      expect(refused(url), url).toBe(true);
    }
    // A program on this machine may be an authorization server: its pages open in the person's own browser.
    expect(shell.openExternal.mock.calls).toEqual([["https://example.com/"], ["http://127.0.0.1:4101/"]]);
  });

  test("frames inside the page navigate nowhere, and no web view is attached", async () => {
    const { native } = await opened();
    expect(tries(native.webContents, "will-frame-navigate", { url: `${ENGINE}/x`, isMainFrame: false })).toBe(true);
    expect(tries(native.webContents, "will-frame-navigate", { url: `${ENGINE}/x`, isMainFrame: true })).toBe(false);
    expect(tries(native.webContents, "will-attach-webview", {})).toBe(true);
  });

  test("no window is opened; https goes to the system's browser, anything else nowhere", async () => {
    const { native } = await opened();
    const open = native.webContents.setWindowOpenHandler.mock.lastCall?.[0] as (details: { url: string }) => unknown;
    for (const url of ["https://example.com/a", "http://example.com/", "file:///etc/passwd", "smb://host/x", "%%%"]) {
      expect(open({ url })).toEqual({ action: "deny" });
    }
    expect(shell.openExternal.mock.calls).toEqual([["https://example.com/a"]]);
  });

  test("permissions are refused, but for copying from our own page", async () => {
    const { native } = await opened();
    const { session } = native.webContents;
    const ask = session.setPermissionRequestHandler.mock.lastCall?.[0] as (...args: unknown[]) => void;
    const check = session.setPermissionCheckHandler.mock.lastCall?.[0] as (...args: unknown[]) => boolean;
    const asked = (permission: string, requestingUrl: string): boolean => {
      const decide = vi.fn();
      ask(null, permission, decide, { requestingUrl });
      return decide.mock.lastCall?.[0] as boolean;
    };
    for (const permission of ["media", "geolocation", "notifications", "clipboard-read", "openExternal", "usb"]) {
      expect(asked(permission, `${ENGINE}/`), permission).toBe(false);
      expect(check(null, permission, ENGINE), permission).toBe(false);
    }
    expect(asked("clipboard-sanitized-write", `${ENGINE}/`)).toBe(true);
    expect(asked("clipboard-sanitized-write", "https://example.com/")).toBe(false);
    expect(session.setDevicePermissionHandler.mock.lastCall?.[0]?.()).toBe(false);
  });

  test("a response without a content security policy gets one; the engine's own is kept", async () => {
    const { native } = await opened();
    const handler = native.webContents.session.webRequest.onHeadersReceived.mock.lastCall?.[0] as (
      details: { responseHeaders: Record<string, string[]> },
      decide: (answer: { responseHeaders: Record<string, string[]> }) => void,
    ) => void;
    const headersFor = (responseHeaders: Record<string, string[]>): Record<string, string[]> => {
      const decide = vi.fn();
      handler({ responseHeaders }, decide);
      return decide.mock.lastCall?.[0].responseHeaders;
    };
    expect(headersFor({})["Content-Security-Policy"]?.[0]).toContain("default-src 'none'");
    expect(headersFor({ "content-security-policy": ["default-src 'self'"] })).toEqual({
      "content-security-policy": ["default-src 'self'"],
    });
  });
});

describe("links from other programs", () => {
  test("name a session or nothing", () => {
    expect(fragmentOf(`longhaul://session/${ID}`)).toBe(`#/s/${ID}`);
    for (const link of [
      "longhaul://session/agent_01",
      "longhaul://session/sesn_01/../x",
      "longhaul://x",
      "https://x",
      "",
    ]) {
      expect(fragmentOf(link), link).toBeNull();
    }
    expect(linkIn(["longhaul", "--flag", `longhaul://session/${ID}`])).toBe(`longhaul://session/${ID}`);
    expect(linkIn(["longhaul"])).toBeNull();
  });
});
