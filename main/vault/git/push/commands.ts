/** What a push asks for: the lines before the pack, read strictly. What is passed on is written anew from this. */
import { Refusal } from "../../refusal.ts";
import type { ByteSource } from "../byte_source.ts";
import { FLUSH, malformed, pktLine, readPacket } from "../pkt_line.ts";

export interface RefUpdate {
  old: string;
  new: string;
  ref: string;
}

export interface PushCommands {
  updates: RefUpdate[];
  /** Commits at which the sender's history is cut off. */
  shallow: string[];
  /** As the sender chose them, of those that were offered. */
  capabilities: string[];
}

/** More is no push of one branch. */
const MAX_LINES = 1_000;
const HASH = "[0-9a-f]{40}(?:[0-9a-f]{24})?";
const COMMAND = new RegExp(`^(${HASH}) (${HASH}) (\\S+)$`);
const SHALLOW = new RegExp(`^shallow (${HASH})$`);

/** Capabilities that say how the answer is written, and nothing about what becomes of the refs. */
const HARMLESS = /^(report-status(-v2)?|side-band-64k|quiet|ofs-delta|object-format=sha(1|256))$/;
const INFORMATION = /^(agent|session-id)=[\x21-\x7e]{1,256}$/;

/**
 * Reads up to the line that ends the commands. No updates: git asks whether it may push at all.
 * @throws Refusal 400 that says what is wrong
 */
export async function readCommands(source: ByteSource): Promise<PushCommands> {
  const commands: PushCommands = { updates: [], shallow: [], capabilities: [] };
  for (let lines = 0; lines <= MAX_LINES; lines += 1) {
    const packet = await readPacket(source);
    if (packet === "flush") return commands;
    if (packet === null || typeof packet === "string") throw malformed("the list of updates does not end");
    readLine(packet, commands);
  }
  throw malformed(`a push has at most ${MAX_LINES} lines of updates`);
}

function readLine(packet: Buffer, commands: PushCommands): void {
  const nul = packet.indexOf(0);
  const first = commands.updates.length === 0;
  if (nul !== -1 && !first) throw malformed("only the first update may name capabilities");
  const bytes = nul === -1 ? packet : packet.subarray(0, nul);
  const text = textOf(bytes).replace(nul === -1 ? /\n$/ : /$^/, "");
  const shallow = SHALLOW.exec(text);
  if (shallow !== null && nul === -1 && first) {
    commands.shallow.push(shallow[1] ?? "");
    return;
  }
  if (text.startsWith("push-cert")) throw refused("Signed pushes (push certificates) are not passed on.");
  const [, old = "", next = "", ref = ""] = COMMAND.exec(text) ?? [];
  if (ref === "" || old.length !== next.length) throw malformed("a line is no update of a ref");
  if (!isRefName(ref)) throw malformed(`${JSON.stringify(ref)} is no name of a ref`);
  if (commands.updates.some((other) => other.ref === ref)) throw malformed(`${ref} is named twice`);
  commands.updates.push({ old, new: next, ref });
  if (nul !== -1) commands.capabilities.push(...readCapabilities(packet.subarray(nul + 1), old.length));
}

function readCapabilities(bytes: Buffer, hashLength: number): string[] {
  if (bytes.includes(0)) throw malformed("a line has two NUL bytes");
  const found = textOf(bytes)
    .replace(/\n$/, "")
    .split(" ")
    .filter((name) => name !== "");
  if (new Set(found.map((name) => name.split("=", 1)[0])).size !== found.length) {
    throw malformed("a capability is named twice");
  }
  const unknown = found.find((name) => !HARMLESS.test(name) && !INFORMATION.test(name));
  if (unknown !== undefined) throw refused(`The capability ${JSON.stringify(unknown)} is not passed on.`);
  const format = found.includes("object-format=sha256") ? 64 : 40;
  if (format !== hashLength) throw malformed("the ids of objects do not have the length of their format");
  return found;
}

/** As git's own check-ref-format has it, and ASCII only: look-alikes must not pass for a branch. */
function isRefName(ref: string): boolean {
  return (
    ref.length <= 255 &&
    /^refs\/[\x21-\x7e]+$/.test(ref) &&
    !/[~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$|\/\.|\.lock(\/|$)/.test(ref)
  );
}

function textOf(bytes: Buffer): string {
  const text = bytes.toString("latin1");
  if (/[^\x20-\x7e\n]/.test(text)) throw malformed("a line has bytes that no ref or capability has");
  return text;
}

function refused(text: string): Refusal {
  return new Refusal(400, "invalid_request_error", text, "push_refused");
}

/** The same push as the broker passes it on. */
export function writeCommands({ shallow, capabilities }: PushCommands, update: RefUpdate): Buffer {
  const cuts = shallow.map((id) => pktLine(`shallow ${id}`));
  const line = `${update.old} ${update.new} ${update.ref}\0${capabilities.map((name) => ` ${name}`).join("")}`;
  return Buffer.concat([...cuts, pktLine(line), FLUSH]);
}

export const isZero = (id: string): boolean => /^0+$/.test(id);
