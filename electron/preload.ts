/** Runs in the page's sandbox before it: hands it the few things that only a desktop shell can do. */
import { contextBridge } from "electron";
import type { ShellBridge } from "../main/contract/shell.ts";
import { call } from "./channels_preload.ts";

const bridge: ShellBridge = {
  platform: process.platform,
  pickFolder: () => call("shell:pick_folder"),
  openExternal: (url) => call("shell:open_external", url),
};

contextBridge.exposeInMainWorld("longhaul", bridge);
