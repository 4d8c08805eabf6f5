/** Reads what the scan of mounts printed in a container. Programs there are the agent's to fool: nothing is believed blindly. */
import { isUtf8 } from "node:buffer";
import { MAX_MEMORY_BYTES } from "../../../contract/memory/paths.ts";
import { type MountScan, SCAN_LIMITS, type Unfit } from "../../memory/port.ts";

/** Scans by mount path; null when the text is not whole. */
export function parseScan(stdout: Buffer): Map<string, MountScan> | null {
  const scans = new Map<string, MountScan>();
  let scan: MountScan | null = null;
  let ended = false;
  for (const bytes of lines(stdout)) {
    const line = bytes.toString("utf8");
    if (line.startsWith("m /")) {
      scan = { files: new Map(), unfit: new Map(), gone: false, overflow: false };
      scans.set(line.slice(2), scan);
    } else if (line === "end") ended = true;
    else if (scan !== null) addLine(scan, line, isUtf8(bytes));
  }
  if (!ended) return null;
  for (const found of scans.values()) settle(found);
  return scans;
}

function addLine(scan: MountScan, line: string, whole: boolean): void {
  if (line === "gone") scan.gone = true;
  if (line === "over" || scan.unfit.size > SCAN_LIMITS.files + SCAN_LIMITS.folders) scan.overflow = true;
  if (line === "n") scan.unfit.set("/…", "bad_name");
  const [, mode = "", size = "", path] = /^s ([0-9a-f]{1,8}) (\d{1,18}) \.(\/.*)?$/s.exec(line) ?? [];
  if (mode !== "") {
    const unfit = whole ? unfitFor(Number.parseInt(mode, 16), Number(size)) : "bad_name";
    if (unfit !== null && path !== undefined) scan.unfit.set(path, unfit);
    return;
  }
  // A name with a backslash has its line begun with one, and itself written with two; some programs do neither.
  const [, escaped, sha256 = "", named = ""] = /^h (\\?)([0-9a-f]{64}) [ *]\.(\/.*)$/s.exec(line) ?? [];
  if (sha256 !== "" && whole) scan.files.set(escaped === "" ? named : named.replaceAll("\\\\", "\\"), sha256);
}

/** A regular file is unfit until its hash is known. */
function unfitFor(mode: number, size: number): Unfit | null {
  switch (mode & 0xf000) {
    case 0x4000:
      // Its owner, the agent, may not list it: what is in it is unknown.
      return (mode & 0o500) === 0o500 ? null : "unreadable";
    case 0x8000:
      return size > MAX_MEMORY_BYTES ? "too_large" : "unreadable";
    case 0xa000:
      return "link";
    default:
      return "special";
  }
}

function settle(scan: MountScan): void {
  for (const path of scan.files.keys()) if (scan.unfit.get(path) === "unreadable") scan.unfit.delete(path);
  // Never listed, or of another kind: it changed between the two looks.
  for (const path of scan.files.keys()) if (scan.unfit.has(path)) scan.files.delete(path);
}

function* lines(bytes: Buffer): Generator<Buffer> {
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
    yield bytes.subarray(start, end);
    start = end + 1;
  }
}
