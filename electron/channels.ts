/** Every channel between the page and the shell, with its types: the only place where one can be added. */

export interface ShellChannels {
  "shell:pick_folder": { args: []; result: string | null };
  "shell:open_external": { args: [url: string]; result: boolean };
}

export type ShellChannel = keyof ShellChannels;
