/**
 * Stands in for the few Electron APIs that the shell uses, where its binary cannot be had. Each records what it was
 * told, and lets a test play what Electron would do. Use: `vi.mock("electron", () => import("…/testing/stand_in.ts"))`.
 */
import { EventEmitter } from "node:events";
import { vi } from "vitest";

export class FakeProcess extends EventEmitter {
  pid: number | undefined = undefined;
  readonly entry: string;
  readonly options: { env: Record<string, string>; serviceName: string };
  readonly sent: { type: string; [key: string]: unknown }[] = [];

  constructor(entry: string, options: FakeProcess["options"]) {
    super();
    this.entry = entry;
    this.options = options;
  }

  postMessage(message: { type: string }): void {
    this.sent.push(structuredClone(message));
  }

  /** Plays the process coming up. */
  spawn(pid: number): this {
    this.pid = pid;
    this.emit("spawn");
    return this;
  }

  /** Plays a message to the shell. */
  says(message: object): void {
    this.emit("message", structuredClone(message));
  }

  /** Plays the end of the process. */
  exits(code: number): void {
    this.pid = undefined;
    this.emit("exit", code);
  }

  get types(): string[] {
    return this.sent.map((message) => message.type);
  }
}

export const forked: FakeProcess[] = [];
export const utilityProcess = {
  fork: (entry: string, _args: string[], options: FakeProcess["options"]) => {
    const child = new FakeProcess(entry, options);
    forked.push(child);
    return child;
  },
};

/** The last process forked from `entry`. */
export function lastOf(entry: string): FakeProcess {
  const child = forked.findLast((candidate) => candidate.entry.endsWith(entry));
  if (child === undefined) throw new Error(`${entry} was never forked`);
  return child;
}

class FakeSession {
  readonly setPermissionRequestHandler = vi.fn();
  readonly setPermissionCheckHandler = vi.fn();
  readonly setDevicePermissionHandler = vi.fn();
  readonly webRequest = { onHeadersReceived: vi.fn() };
}

export class FakeContents extends EventEmitter {
  readonly session = new FakeSession();
  readonly setWindowOpenHandler = vi.fn();
}

export const windows: BrowserWindow[] = [];
export class BrowserWindow extends EventEmitter {
  readonly webContents = new FakeContents();
  readonly options: { webPreferences: Record<string, unknown> };
  readonly show = vi.fn();
  readonly hide = vi.fn();
  readonly focus = vi.fn();
  readonly restore = vi.fn();
  readonly isMinimized = vi.fn(() => false);
  readonly loadURL = vi.fn((_url: string) => Promise.resolve());

  constructor(options: BrowserWindow["options"]) {
    super();
    this.options = options;
    windows.push(this);
  }
}

class FakeApp extends EventEmitter {
  isPackaged = false;
  readonly exit = vi.fn();
  readonly setPath = vi.fn();
  readonly setBadgeCount = vi.fn();
  readonly setAsDefaultProtocolClient = vi.fn();
  readonly requestSingleInstanceLock = vi.fn(() => true);
  readonly getAppPath = vi.fn(() => "/app");
  readonly whenReady = vi.fn(() => Promise.resolve());
  /** As Electron does: asks everybody, and goes only if nobody prevents it. */
  readonly quit = vi.fn(() => {
    const event = preventable();
    this.emit("before-quit", event);
  });
}
export const app = new FakeApp();

export class Tray extends EventEmitter {
  readonly setToolTip = vi.fn();
  readonly setContextMenu = vi.fn();
  constructor(_icon: unknown) {
    super();
    trays.push(this);
  }
}
export const trays: Tray[] = [];

export const notifications: Notification[] = [];
export class Notification extends EventEmitter {
  static isSupported = (): boolean => true;
  readonly show = vi.fn();
  readonly options: { title: string; body: string };
  constructor(options: Notification["options"]) {
    super();
    this.options = options;
    notifications.push(this);
  }
}

export const powerMonitor = new EventEmitter();
export const net = { isOnline: vi.fn(() => true) };
export const shell = { openExternal: vi.fn(() => Promise.resolve()) };
export const nativeImage = { createFromPath: () => ({ resize: () => ({}) }) };
export const dialog = {
  showErrorBox: vi.fn(),
  showMessageBox: vi.fn((_options: { message: string }) => Promise.resolve({ response: 0 })),
  showOpenDialog: vi.fn(() => Promise.resolve({ filePaths: ["/home/me/project"] })),
};
export const Menu = { buildFromTemplate: vi.fn((template: unknown) => template), setApplicationMenu: vi.fn() };

export const handlers = new Map<string, (event: unknown, ...args: unknown[]) => unknown>();
export const ipcMain = {
  handle: (channel: string, handler: (event: unknown, ...args: unknown[]) => unknown) => handlers.set(channel, handler),
};
export const ipcRenderer = { invoke: vi.fn((..._args: unknown[]) => Promise.resolve<unknown>(null)) };
export const exposed = new Map<string, unknown>();
export const contextBridge = { exposeInMainWorld: (key: string, value: unknown) => exposed.set(key, value) };

/** An event as Electron hands it out. */
export function preventable<T extends object>(details?: T): T & { preventDefault: ReturnType<typeof vi.fn> } {
  return { ...(details ?? ({} as T)), preventDefault: vi.fn() };
}

/** Forgets everything: call it before each test. */
export function reset(): void {
  for (const list of [forked, windows, trays, notifications]) list.length = 0;
  for (const emitter of [app, powerMonitor]) emitter.removeAllListeners();
  handlers.clear();
  exposed.clear();
  vi.clearAllMocks();
}
