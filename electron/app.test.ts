import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  app,
  dialog,
  forked,
  handlers,
  lastOf,
  net,
  notifications,
  powerMonitor,
  preventable,
  reset,
  trays,
  windows,
} from "./testing/stand_in.ts";

vi.mock("electron", () => import("./testing/stand_in.ts"));

const KEY = "sk-ant-canary-77aa";
const ID = "sesn_01KAJ0ABCDEFGHJKMNPQRSTVWX";
const settle = (): Promise<void> => vi.advanceTimersByTimeAsync(0).then(() => undefined);

/** Runs the entry module as Electron does, with these arguments. */
async function launch(...args: string[]): Promise<void> {
  process.argv = ["electron", "/app", "--data-dir", "/data", ...args];
  vi.resetModules();
  // The stand-in must stay the one that this file looks at.
  vi.doMock("electron", () => import("./testing/stand_in.ts").then(() => standIn));
  await import("./app.ts");
  await settle();
}
const standIn = await import("./testing/stand_in.ts");

/** Brings broker and engine up. */
async function up(): Promise<void> {
  lastOf("broker.js").spawn(11);
  lastOf("serve.js").spawn(12);
  await settle();
  lastOf("broker.js").says({ type: "ready", url: "http://127.0.0.1:4200", pid: 11 });
  await settle();
  lastOf("serve.js").says({ type: "ready", url: "http://127.0.0.1:4100", token: "t", pid: 12 });
  lastOf("serve.js").says({ type: "sign_in_code", code: "once" });
  await settle();
}

const argv = process.argv;
beforeEach(() => {
  reset();
  vi.useFakeTimers();
  vi.stubEnv("ANTHROPIC_API_KEY", KEY);
  vi.stubEnv("ANTHROPIC_CUSTOM_HEADERS", `x: ${KEY}`);
  app.isPackaged = false;
  app.requestSingleInstanceLock.mockReturnValue(true);
  net.isOnline.mockReturnValue(true);
});
afterEach(() => {
  process.argv = argv;
  vi.unstubAllEnvs();
  vi.useRealTimers();
});

describe("start", () => {
  test("starts both processes from the build and shows the engine's page, signed in", async () => {
    await launch();
    expect(forked.map((child) => child.entry).sort()).toEqual(["/app/out/main/broker.js", "/app/out/main/serve.js"]);
    await up();
    expect(lastOf("serve.js").sent[0]).toMatchObject({ data_dir: "/data", renderer_dir: "/app/out/renderer" });
    expect(windows[0]?.loadURL).toHaveBeenCalledWith("http://127.0.0.1:4100/#code=once");
  });

  test("no key stays in this process's environment or in the engine's; the broker is told it", async () => {
    await launch();
    await up();
    expect(JSON.stringify(process.env)).not.toContain(KEY);
    expect(JSON.stringify([lastOf("serve.js").options, lastOf("serve.js").sent])).not.toContain(KEY);
    expect(JSON.stringify(lastOf("broker.js").options)).not.toContain(KEY);
    expect(lastOf("broker.js").sent[0]).toMatchObject({ model: { api_key: KEY } });
  });

  test("a second instance on the same data hands over and starts nothing", async () => {
    app.requestSingleInstanceLock.mockReturnValue(false);
    await launch();
    expect(app.setPath).toHaveBeenCalledWith("userData", "/data/electron");
    expect(app.exit).toHaveBeenCalledWith(0);
    expect(forked).toEqual([]);
    expect(windows).toEqual([]);
  });

  test("flags reach the engine; Chromium's own are left alone", async () => {
    await launch("--no-auto-resume", "--sandbox", "embedded", "--ozone-platform=x11", "--inspect");
    await up();
    expect(lastOf("serve.js").sent[0]).toMatchObject({ auto_resume: false, sandbox: "embedded", port: 0 });
  });

  test("a bad flag is shown and nothing is started", async () => {
    await launch("--port", "lots");
    expect(dialog.showErrorBox.mock.lastCall?.[1]).toContain("--port");
    expect(app.exit).toHaveBeenCalledWith(2);
    expect(forked).toEqual([]);
  });

  test("the link that started the app is followed once the page is there", async () => {
    await launch(`longhaul://session/${ID}`);
    await up();
    expect(windows[0]?.loadURL.mock.lastCall).toEqual([`http://127.0.0.1:4100/#/s/${ID}`]);
  });
});

describe("while it runs", () => {
  test("a second start brings the window up, with the session of its link", async () => {
    await launch();
    await up();
    app.emit("second-instance", {}, ["longhaul", `longhaul://session/${ID}`]);
    expect(windows).toHaveLength(1);
    expect(windows[0]?.focus).toHaveBeenCalled();
    expect(windows[0]?.loadURL.mock.lastCall).toEqual([`http://127.0.0.1:4100/#/s/${ID}`]);
    app.emit("open-url", preventable(), "longhaul://session/nonsense");
    expect(windows[0]?.loadURL).toHaveBeenCalledTimes(2);
  });

  test("sleep, wake-up and the network reach the engine", async () => {
    await launch();
    await up();
    const engine = lastOf("serve.js");
    powerMonitor.emit("suspend");
    powerMonitor.emit("resume");
    net.isOnline.mockReturnValue(false);
    await vi.advanceTimersByTimeAsync(9000);
    net.isOnline.mockReturnValue(true);
    await vi.advanceTimersByTimeAsync(3000);
    expect(engine.sent.slice(1).filter((message) => message.type !== "sign_in_code")).toEqual([
      { type: "network", online: true },
      { type: "power", state: "suspend" },
      { type: "power", state: "resume" },
      { type: "network", online: false },
      { type: "network", online: true },
    ]);
  });

  test("a fresh engine is told that the network is away", async () => {
    await launch();
    await up();
    net.isOnline.mockReturnValue(false);
    await vi.advanceTimersByTimeAsync(3000);
    lastOf("serve.js").exits(9);
    await settle();
    lastOf("serve.js").spawn(13);
    await settle();
    lastOf("serve.js").says({ type: "ready", url: "http://127.0.0.1:4100", token: "t", pid: 13 });
    expect(lastOf("serve.js").sent.at(-1)).toEqual({ type: "network", online: false });
  });

  test("counts show in the badge and the tray; one more session that needs the person is one notification", async () => {
    await launch();
    await up();
    const says = (needs_you: number, running: number): void =>
      lastOf("serve.js").says({ type: "attention", needs_you, running });
    says(0, 1);
    expect(notifications).toHaveLength(0);
    says(1, 1);
    says(1, 2);
    expect(notifications.map((shown) => shown.options.title)).toEqual(["1 session needs you, 1 runs"]);
    expect(app.setBadgeCount).toHaveBeenLastCalledWith(1);
    expect(trays).toHaveLength(1);
    expect(trays[0]?.setToolTip).toHaveBeenLastCalledWith("Longhaul: 1 session needs you, 2 run");
    notifications[0]?.emit("click");
    expect(windows[0]?.focus).toHaveBeenCalled();
  });

  test("closing the window hides it while sessions run, and quits when none does", async () => {
    await launch();
    await up();
    lastOf("serve.js").says({ type: "attention", needs_you: 0, running: 2 });
    const busy = preventable();
    windows[0]?.emit("close", busy);
    expect(busy.preventDefault).toHaveBeenCalled();
    lastOf("serve.js").says({ type: "attention", needs_you: 0, running: 0 });
    const idle = preventable();
    windows[0]?.emit("close", idle);
    expect(idle.preventDefault).not.toHaveBeenCalled();
  });

  test("a failure is shown; trying again starts what is down, quitting quits", async () => {
    await launch();
    await up();
    const fails = async (response: number): Promise<void> => {
      dialog.showMessageBox.mockResolvedValueOnce({ response });
      lastOf("serve.js").says({ type: "failed", code: "data_dir_unwritable", message: "/data cannot be written." });
      lastOf("serve.js").exits(1);
      await settle();
    };
    await fails(0);
    expect(dialog.showMessageBox.mock.lastCall?.[0]).toMatchObject({ message: "/data cannot be written." });
    expect(forked).toHaveLength(3);
    await fails(1);
    expect(app.quit).toHaveBeenCalled();
    expect(forked).toHaveLength(3);
  });

  test("the page gets a folder that the person chose; a stranger gets nothing", async () => {
    await launch();
    await up();
    const call = handlers.get("shell:pick_folder");
    const page = { senderFrame: { url: "http://127.0.0.1:4100/", parent: null } };
    expect(await call?.(page)).toBe("/home/me/project");
    expect(() => call?.({ senderFrame: { url: "https://example.com/", parent: null } })).toThrow("refused");
  });
});

describe("quit", () => {
  test("drains both, then exits; a second request changes nothing", async () => {
    await launch();
    await up();
    const event = preventable();
    app.emit("before-quit", event);
    app.emit("before-quit", preventable());
    expect(event.preventDefault).toHaveBeenCalled();
    expect(lastOf("serve.js").types.filter((type) => type === "drain")).toHaveLength(1);
    expect(app.exit).not.toHaveBeenCalled();
    lastOf("serve.js").exits(0);
    await settle();
    lastOf("broker.js").exits(0);
    await settle();
    expect(app.exit.mock.calls).toEqual([[0]]);
  });
});
