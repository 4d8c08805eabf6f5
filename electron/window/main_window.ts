/** The app's one window: a page of the engine, in a sandbox. */
import { BrowserWindow } from "electron";
import { secureContents, secureSession } from "./security.ts";

export interface MainWindowOptions {
  preload: string;
  icon: string;
  signInCode: () => Promise<string>;
  /** Asked before the window closes; false keeps it (hidden). */
  mayClose: () => boolean;
  log: (line: string) => void;
}

export class MainWindow {
  readonly #options: MainWindowOptions;
  #window: BrowserWindow | null = null;
  #engineUrl: string | null = null;
  /** True from a successful load until the page goes away or the engine moves. */
  #loaded = false;
  #loading = false;
  #fragment: string | null = null;

  constructor(options: MainWindowOptions) {
    this.#options = options;
  }

  /** Origin of the engine that serves the page; null before the first engine is ready. */
  get origin(): string | null {
    return this.#engineUrl === null ? null : new URL(this.#engineUrl).origin;
  }

  /** Brings the window to the front, making it if it is closed. */
  show(): void {
    if (this.#window === null) return this.#open();
    if (this.#window.isMinimized()) this.#window.restore();
    this.#window.show();
    this.#window.focus();
  }

  /** Shows the page at `fragment` (such as `#/s/<session id>`), once it is loaded. */
  goTo(fragment: string): void {
    this.#fragment = fragment;
    this.show();
    this.#followFragment();
  }

  /** An engine listens at `url`. A loaded page reconnects by itself when the address is the old one. */
  engineIs(url: string): void {
    if (url !== this.#engineUrl) this.#loaded = false;
    this.#engineUrl = url;
    void this.#load();
  }

  #open(): void {
    const window = new BrowserWindow({
      width: 1440,
      height: 900,
      minWidth: 480,
      minHeight: 360,
      show: false,
      title: "Longhaul",
      icon: this.#options.icon,
      webPreferences: {
        preload: this.#options.preload,
        sandbox: true,
        contextIsolation: true,
        nodeIntegration: false,
        webSecurity: true,
        webviewTag: false,
        spellcheck: false,
      },
    });
    this.#window = window;
    const origin = (): string | null => this.origin;
    secureSession(window.webContents.session, origin);
    secureContents(window.webContents, origin);
    window.once("ready-to-show", () => window.show());
    window.on("close", (event) => {
      if (this.#options.mayClose()) return;
      event.preventDefault();
      window.hide();
    });
    window.on("closed", () => {
      this.#window = null;
      this.#loaded = false;
    });
    window.webContents.on("render-process-gone", (_event, details) => {
      this.#options.log(`The page's process ended (${details.reason}); it is loaded again.`);
      this.#loaded = false;
      // A page that crashes at once again would otherwise be reloaded in a tight loop.
      setTimeout(() => void this.#load(), 1000);
    });
    void this.#load();
  }

  async #load(): Promise<void> {
    const url = this.#engineUrl;
    const window = this.#window;
    if (url === null || window === null || this.#loaded || this.#loading) return;
    this.#loading = true;
    try {
      const code = await this.#options.signInCode();
      // The fragment never leaves the page, so that the code is in no request line and no log.
      await window.loadURL(`${new URL(url).origin}/#code=${code}`);
      this.#loaded = url === this.#engineUrl && this.#window === window;
    } catch (error) {
      this.#options.log(`The page could not be loaded: ${String(error)} It is loaded when the engine is ready again.`);
    } finally {
      this.#loading = false;
    }
    // The engine moved while the page was loading.
    if (url !== this.#engineUrl) return this.#load();
    this.#followFragment();
  }

  #followFragment(): void {
    if (this.#fragment === null || !this.#loaded || this.#window === null || this.origin === null) return;
    // Same document, other fragment: the page is not loaded again, it only gets a `hashchange`.
    void this.#window.loadURL(`${this.origin}/${this.#fragment}`);
    this.#fragment = null;
  }
}
