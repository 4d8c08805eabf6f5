/** What a mount and its store had in common when they were last equal, as it is kept beside the sandbox's files. */

export type Manifest = Map<string, string>;

export function writeManifest(manifest: ReadonlyMap<string, string>): string {
  return JSON.stringify({ version: 1, files: Object.fromEntries(manifest) });
}

/** Nothing in common when the text is missing or torn: what is equal is found equal again, and nothing is deleted. */
export function readManifest(text: string | null): Manifest {
  try {
    const { version, files } = JSON.parse(text ?? "null") as { version?: unknown; files?: unknown };
    if (version !== 1 || typeof files !== "object" || files === null) return new Map();
    return new Map(Object.entries(files).filter((pair): pair is [string, string] => typeof pair[1] === "string"));
  } catch {
    return new Map();
  }
}
