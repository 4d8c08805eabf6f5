/** What a server shows before a push: its refs, and what may be asked of it. */
import { ByteSource } from "./byte_source.ts";
import { FLUSH, malformed, pktLine, readPacket } from "./pkt_line.ts";

/** Offered to the sandbox's git, if the server has them. `no-thin` is ours: packs then hold what their deltas need. */
const OFFERED = /^(report-status(-v2)?|side-band-64k|quiet|ofs-delta|object-format=sha(1|256)|agent=.*)$/;
const MAX_BYTES = 64 * 1024 * 1024;

export interface Advertisement {
  /** For the client: the same refs, fewer capabilities. */
  bytes: Buffer;
  /** Id by full name; empty for a new repository. */
  refs: Map<string, string>;
}

/** Reads the answer to `info/refs?service=git-receive-pack`. Rejects with Refusal when it is none. */
export async function readAdvertisement(answer: AsyncIterable<Buffer>): Promise<Advertisement> {
  const source = new ByteSource(bounded(answer, MAX_BYTES));
  const parts: Buffer[] = [];
  const refs = new Map<string, string>();
  let first = true;
  const head = await readPacket(source);
  if (!Buffer.isBuffer(head) || head.toString().trimEnd() !== "# service=git-receive-pack") {
    throw malformed("the server does not begin with its service");
  }
  if ((await readPacket(source)) !== "flush") throw malformed("the server's first part does not end");
  parts.push(pktLine(head), FLUSH);
  for (;;) {
    const packet = await readPacket(source);
    if (packet === "flush") break;
    if (packet === null || typeof packet === "string") throw malformed("the server's list of refs does not end");
    if (first && packet.toString("latin1", 0, 8) === "version ") continue;
    const nul = first ? packet.indexOf(0) : -1;
    const line = nul === -1 ? packet : packet.subarray(0, nul);
    const [, id = "", name = ""] = /^([0-9a-f]{40,64}) (.+?)\n?$/.exec(line.toString()) ?? [];
    if (id !== "" && name !== "capabilities^{}") refs.set(name, id);
    parts.push(
      first
        ? pktLine(Buffer.concat([line, offered(nul === -1 ? "" : packet.toString("latin1", nul + 1))]))
        : pktLine(packet),
    );
    first = false;
  }
  parts.push(FLUSH);
  return { bytes: Buffer.concat(parts), refs };
}

function offered(capabilities: string): Buffer {
  const kept = capabilities
    .trim()
    .split(" ")
    .filter((name) => OFFERED.test(name));
  return Buffer.from(`\0${[...kept, "no-thin"].join(" ")}\n`, "latin1");
}

/** The same bytes; breaks off beyond `maxBytes`. */
export async function* bounded(stream: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let total = 0;
  for await (const chunk of stream) {
    total += chunk.length;
    if (total > maxBytes) throw malformed(`there are more than ${maxBytes} bytes`);
    yield chunk;
  }
}
