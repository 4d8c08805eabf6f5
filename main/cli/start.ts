/** `longhaul start`: `serve`, and the browser opened on it. */
import { spawn } from "node:child_process";
import type { Environment } from "../config.ts";
import { readSettings } from "../config.ts";
import type { Command, Context } from "./command.ts";
import { findEngine } from "./engine/engine_file.ts";
import { alreadyRunning, type Ready, SERVE_OPTIONS, serveWith, signInLink } from "./serve.ts";

const { json: _json, renderer: _renderer, ...SHARED } = SERVE_OPTIONS;

export const start: Command = {
  name: "start",
  usage: "[--browser | --no-browser] [--data-dir DIR] [--port N] [--no-auto-resume] [--sandbox KIND]",
  summary: "Run Longhaul and open it in the browser",
  details: [
    "`npm start` opens the desktop app where Electron can run, and this otherwise. Without a browser or a display the",
    "link is printed, and that is all.",
  ],
  options: {
    ...SHARED,
    browser: { type: "boolean", help: "open the browser (the default; --no-browser only prints the link)" },
  },
  positionals: { min: 0, max: 0 },
  run: async (context, args) => {
    const { data_dir } = readSettings({ "data-dir": args.text("data-dir") }, context.env);
    const found = await findEngine(data_dir);
    if (found.state === "running") throw alreadyRunning(found.facts);
    return await serveWith(context, args, (ready) => show(context, args.flag("browser") !== false, ready));
  },
};

async function show({ terminal, env, renderer_dir }: Context, open: boolean, { facts, host }: Ready): Promise<void> {
  if (renderer_dir === null) {
    terminal.out(
      `Longhaul is ready at ${facts.url}, without its interface: it is not built. \`npm run build\` builds it.\n`,
    );
    return;
  }
  const link = await signInLink(facts, host);
  const opened = open && (await openBrowser(link, env));
  const how = opened ? "It opens in your browser. If it does not, use this link" : "Open this link";
  terminal.out(
    `Longhaul is ready at ${facts.url} (data in ${facts.data_dir}).\n` +
      `${how} (it signs in once, within ten minutes):\n\n  ${link}\n\nCtrl+C stops in order; sessions go on at the next start.\n`,
  );
}

/** The command that opens a link here; null where nothing could show it. */
export function browserCommand(link: string, platform: NodeJS.Platform, env: Environment): [string, string[]] | null {
  if (platform === "darwin") return ["open", [link]];
  // `start` is a builtin of cmd.exe, which would read & and % in a link; this takes it as it is.
  if (platform === "win32") return ["rundll32", ["url.dll,FileProtocolHandler", link]];
  const hasDisplay = [env.DISPLAY, env.WAYLAND_DISPLAY].some((value) => value !== undefined && value !== "");
  return hasDisplay ? ["xdg-open", [link]] : null;
}

/** Never fails: false means that the person has to open the link. */
function openBrowser(link: string, env: Environment): Promise<boolean> {
  const command = browserCommand(link, process.platform, env);
  if (command === null) return Promise.resolve(false);
  return new Promise((resolve) => {
    const child = spawn(command[0], command[1], { stdio: "ignore", detached: true });
    child.on("error", () => resolve(false));
    child.on("spawn", () => resolve(true));
    child.unref();
  });
}
