/** The application menu: the platform's standard entries. What Longhaul can do is in its page. */
import { Menu, type MenuItemConstructorOptions } from "electron";

/** Sets the menu. Developer tools are for checkouts, not for the packaged app. */
export function setMenu(platform: NodeJS.Platform, isPackaged: boolean): void {
  const view: MenuItemConstructorOptions[] = [
    { role: "reload" },
    ...(isPackaged ? [] : [{ role: "toggleDevTools" } as const]),
    { type: "separator" },
    { role: "resetZoom" },
    { role: "zoomIn" },
    { role: "zoomOut" },
    { type: "separator" },
    { role: "togglefullscreen" },
  ];
  Menu.setApplicationMenu(
    Menu.buildFromTemplate([
      ...(platform === "darwin" ? [{ role: "appMenu" } as const] : []),
      { role: "fileMenu" },
      { role: "editMenu" },
      { label: "View", submenu: view },
      { role: "windowMenu" },
    ]),
  );
}
