/** Tray, badge and notifications: how many sessions need the person and how many run, seen without the window. */
import { app, Menu, Notification, nativeImage, Tray } from "electron";

export interface Counts {
  needs_you: number;
  running: number;
}

export interface AttentionActions {
  show: () => void;
  quit: () => void;
}

export class Attention {
  readonly #actions: AttentionActions;
  readonly #icon: string;
  #tray: Tray | null = null;
  #counts: Counts = { needs_you: 0, running: 0 };

  constructor(icon: string, actions: AttentionActions) {
    this.#icon = icon;
    this.#actions = actions;
  }

  get counts(): Counts {
    return this.#counts;
  }

  /** Shows new counts; a session more that needs the person is worth one notification. */
  update(counts: Counts): void {
    const more = counts.needs_you > this.#counts.needs_you;
    this.#counts = counts;
    app.setBadgeCount(counts.needs_you);
    const tray = this.#tray ?? this.#makeTray();
    tray.setToolTip(`Longhaul: ${describe(counts)}`);
    tray.setContextMenu(this.#menu());
    if (more) this.notify(describe(counts), "Open Longhaul to answer.");
  }

  /** One notification; a click brings the window up. */
  notify(title: string, body: string): void {
    if (!Notification.isSupported()) return;
    const notification = new Notification({ title, body });
    notification.on("click", this.#actions.show);
    notification.show();
  }

  #makeTray(): Tray {
    const tray = new Tray(nativeImage.createFromPath(this.#icon).resize({ width: 18, height: 18 }));
    tray.on("click", this.#actions.show);
    this.#tray = tray;
    return tray;
  }

  #menu(): Menu {
    return Menu.buildFromTemplate([
      { label: describe(this.#counts), enabled: false },
      { type: "separator" },
      { label: "Open Longhaul", click: this.#actions.show },
      { label: "Quit", click: this.#actions.quit },
    ]);
  }
}

/** Such as "2 sessions need you, 1 runs". */
export function describe({ needs_you, running }: Counts): string {
  const needs = needs_you === 1 ? "1 session needs you" : `${needs_you} sessions need you`;
  const runs = running === 1 ? "1 runs" : `${running} run`;
  if (needs_you === 0 && running === 0) return "nothing runs";
  if (needs_you === 0) return runs;
  return running === 0 ? needs : `${needs}, ${runs}`;
}
