/** Starts the relay in a container. Its program comes over its standard input, so nothing has to lie in the image. */
import type { Duplex } from "node:stream";
import type { Container } from "../../ports.ts";
import { RelayLink } from "./link.ts";
import { nodeRelay } from "./node_relay.ts";
import { pythonRelay } from "./python_relay.ts";

/** Where programs in the container find the relay: `http://127.0.0.1:3128`. */
export const RELAY_PORT = 3128;
export const RELAY_ADDRESS = `http://127.0.0.1:${RELAY_PORT}`;

const START_MS = 15_000;

const PYTHON = "import sys; r = sys.stdin.buffer; exec(r.read(int(r.readline())).decode())";
const NODE = `var f=require("fs"),b=Buffer.alloc(65536),s=Buffer.alloc(0),i,n;
for(;;){i=s.indexOf(10);if(i>=0&&s.length>i+Number(s.slice(0,i)))break;n=f.readSync(0,b,0,65536,null);
if(!n)process.exit(0);s=Buffer.concat([s,b.slice(0,n)])}new Function("require",s.slice(i+1).toString())(require)`;
/** Says which interpreter the image has, then becomes it. */
const CHOOSE = `if command -v python3 >/dev/null 2>&1; then printf P; exec python3 -I -S -c "$1"
elif command -v node >/dev/null 2>&1; then printf N; exec node -e "$2"; else printf -; fi`;

/** The image has neither Python 3 nor Node.js. */
export class NoInterpreter extends Error {}

/**
 * Resolves when the relay listens in the container. Rejects with {@link NoInterpreter}, with SandboxLost when the
 * container is gone, or with an Error that says why the relay did not start.
 */
export async function startRelay(
  container: Pick<Container, "open">,
  onConnection: (connection: Duplex) => void,
): Promise<RelayLink> {
  const stream = await container.open(["/bin/sh", "-c", CHOOSE, "longhaul-relay", PYTHON, NODE]);
  const choice = await firstByte(stream.stdout, stream.closed);
  if (choice !== "P" && choice !== "N") {
    const said = stream.stderr().trim().slice(-500);
    stream.destroy();
    if (choice === "-") throw new NoInterpreter();
    throw new Error(`The relay of the sandbox's network did not start (${said || "no answer"}).`);
  }
  const program = Buffer.from(choice === "P" ? pythonRelay(RELAY_PORT) : nodeRelay(RELAY_PORT));
  stream.stdin.write(Buffer.concat([Buffer.from(`${program.length}\n`), program]));
  const link = new RelayLink(stream, onConnection);
  const failure = await link.listening(START_MS);
  if (failure === null) return link;
  link.close();
  throw new Error(`The relay of the sandbox's network did not start: ${failure}.`);
}

function firstByte(stdout: NodeJS.ReadableStream, closed: Promise<void>): Promise<string> {
  return new Promise((resolve) => {
    const settle = (text: string) => {
      clearTimeout(timer);
      stdout.off("readable", look);
      resolve(text);
    };
    const look = () => {
      const byte = stdout.read(1);
      if (byte !== null) settle(byte.toString());
    };
    const timer = setTimeout(settle, START_MS, "");
    stdout.on("readable", look);
    void closed.then(() => settle(""));
  });
}
