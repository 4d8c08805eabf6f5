/** What the Electron shell offers its page as `window.longhaul`. In a browser it is absent: use the API alone there. */

export interface ShellBridge {
  platform: string;
  /** Opens the system's folder chooser; null when the person cancelled. */
  pickFolder(): Promise<string | null>;
}
