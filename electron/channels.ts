/** Every channel between the page and the shell, with its types: the only place where one can be added. */

export interface ShellChannels {
  "shell:pick_folder": { args: []; result: string | null };
}

export type ShellChannel = keyof ShellChannels;
