/** The desktop shell: starts engine and broker, shows their page in one window, and quits in order. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { app, dialog } from "electron";
import {
  brokerEnvironment,
  engineEnvironment,
  readSettings,
  type Settings,
  takeModelEndpoint,
  takeVaultPassphrase,
  UsageError,
} from "../main/config.ts";
import type { ChildFailed, ModelEndpoint } from "../main/contract/process.ts";
import { answer } from "./channels_main.ts";
import { Attention } from "./desktop/attention.ts";
import { setMenu } from "./desktop/menu.ts";
import { forwardSignals, type Signals } from "./desktop/signals.ts";
import { Supervisor } from "./processes/supervisor.ts";
import { fragmentOf, linkIn, SCHEME } from "./window/deep_link.ts";
import { MainWindow } from "./window/main_window.ts";
import { openOutside } from "./window/security.ts";

/** Flags of the command line that the shell knows; Chromium's own are left to Chromium. */
function settings(): Settings {
  const { values } = parseArgs({
    args: process.argv.slice(1),
    strict: false,
    allowNegative: true,
    options: {
      "auto-resume": { type: "boolean" },
      "data-dir": { type: "string" },
      port: { type: "string" },
      sandbox: { type: "string" },
    },
  });
  const text = (name: string): string | undefined => (typeof values[name] === "string" ? values[name] : undefined);
  const flags = {
    "data-dir": text("data-dir"),
    port: text("port"),
    sandbox: text("sandbox"),
    "auto-resume": typeof values["auto-resume"] === "boolean" ? values["auto-resume"] : undefined,
  };
  return readSettings(flags, process.env);
}

class Shell {
  readonly #supervisor: Supervisor;
  readonly #window: MainWindow;
  readonly #attention: Attention;
  readonly #signals: Signals;
  #quitting = false;

  constructor(wanted: Settings, model: ModelEndpoint, vault_passphrase: string | null) {
    const root = app.getAppPath();
    const icon = join(root, "resources", "icon.png");
    const log = (line: string): void => void process.stderr.write(`${line}\n`);
    this.#attention = new Attention(icon, { show: () => this.#window.show(), quit: () => app.quit() });
    this.#window = new MainWindow({
      preload: join(root, "out", "electron", "preload.cjs"),
      icon,
      signInCode: () => this.#supervisor.signInCode(),
      mayClose: () => this.#mayClose(),
      log,
    });
    this.#supervisor = new Supervisor({
      entries: { engine: join(root, "out", "main", "serve.js"), broker: join(root, "out", "main", "broker.js") },
      env: { engine: engineEnvironment(process.env, null), broker: brokerEnvironment(process.env) },
      model,
      vault_passphrase,
      engine: {
        data_dir: wanted.data_dir,
        port: wanted.port,
        auto_resume: wanted.auto_resume,
        sandbox: wanted.sandbox,
        renderer_dir: join(root, "out", "renderer"),
      },
      log,
      onEngine: (url) => {
        this.#window.engineIs(url);
        this.#signals.repeat();
      },
      onAttention: (counts) => this.#attention.update(counts),
      onFailed: (_child, failure) => void this.#showFailure(failure),
    });
    this.#signals = forwardSignals((signal) => this.#supervisor.tell(signal));
  }

  start(link: string | null): void {
    setMenu(process.platform, app.isPackaged);
    answer(
      "shell:pick_folder",
      () => this.#window.origin,
      async () => {
        const { filePaths } = await dialog.showOpenDialog({ properties: ["openDirectory"] });
        return filePaths[0] ?? null;
      },
    );
    answer(
      "shell:open_external",
      () => this.#window.origin,
      (url) => openOutside(url),
    );
    app.on("activate", () => this.#window.show());
    app.on("second-instance", (_event, argv) => this.#arrive(linkIn(argv)));
    app.on("open-url", (event, url) => {
      event.preventDefault();
      this.#arrive(url);
    });
    app.on("window-all-closed", () => {
      // On macOS an app without a window stays in the dock; elsewhere the last window closes only when nothing runs.
      if (process.platform !== "darwin") app.quit();
    });
    app.on("before-quit", (event) => {
      event.preventDefault();
      void this.#quit();
    });
    this.#supervisor.start();
    this.#arrive(link);
  }

  #arrive(link: string | null): void {
    const fragment = link === null ? null : fragmentOf(link);
    if (fragment === null) this.#window.show();
    else this.#window.goTo(fragment);
  }

  /** A closed window must not stop sessions: while some run, it only hides. */
  #mayClose(): boolean {
    const { running } = this.#attention.counts;
    if (this.#quitting || running === 0) return true;
    this.#attention.notify(
      "Longhaul goes on in the background",
      "Its icon opens it again; Quit there stops it in order.",
    );
    return false;
  }

  async #showFailure(failure: ChildFailed): Promise<void> {
    if (this.#quitting) return;
    const { response } = await dialog.showMessageBox({
      type: "error",
      title: "Longhaul",
      message: failure.message,
      buttons: ["Try again", "Quit"],
      defaultId: 0,
      cancelId: 1,
    });
    if (response === 0) this.#supervisor.start();
    else app.quit();
  }

  /** `app.exit` raises no further `before-quit`, so this runs once. */
  async #quit(): Promise<void> {
    if (this.#quitting) return;
    this.#quitting = true;
    this.#signals.stop();
    await this.#supervisor.quit();
    app.exit(0);
  }
}

/** Starts the app, or hands over to the instance that runs on the same data already. */
function main(): void {
  let wanted: Settings;
  let model: ModelEndpoint;
  let passphrase: string | null;
  try {
    // First of all: from here on no process that is started inherits a key.
    passphrase = takeVaultPassphrase(process.env);
    model = takeModelEndpoint(process.env);
    wanted = settings();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    dialog.showErrorBox("Longhaul", error.message);
    return app.exit(2);
  }
  // One instance per data directory, and Chromium's own files kept away from the sessions.
  app.setPath("userData", join(wanted.data_dir, "electron"));
  if (!app.requestSingleInstanceLock()) return app.exit(0);
  if (app.isPackaged) app.setAsDefaultProtocolClient(SCHEME);
  let link = linkIn(process.argv);
  // macOS hands over the link that started the app before the app is ready.
  app.once("open-url", (_event, url) => {
    link = url;
  });
  // Not awaited at the top level: Electron becomes ready only after this module has been evaluated.
  void app.whenReady().then(() => new Shell(wanted, model, passphrase).start(link));
}

main();
