import { fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { FromBroker, ToBroker } from "./contract/process.ts";
import { type ChildSide, parentPort } from "./parent_port.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const port = (child: ChildSide) => parentPort<FromBroker, ToBroker>(child);
const ready: FromBroker = { type: "ready", url: "http://127.0.0.1:1", pid: 1 };

test("a process without a parent says how to start Longhaul", () => {
  const child = Object.assign(new EventEmitter(), { connected: false });
  expect(() => port(child)).toThrow("longhaul serve");
});

test("under Electron, messages are unwrapped from their event", () => {
  const channel = new EventEmitter();
  const posted: unknown[] = [];
  const utility = Object.assign(channel, { postMessage: (message: unknown) => posted.push(message) });
  const parent = port(Object.assign(new EventEmitter(), { connected: false, parentPort: utility }));
  const received: ToBroker[] = [];
  parent.onMessage((message) => received.push(message));
  channel.emit("message", { data: { type: "drain" } });
  parent.send(ready);
  expect(received).toEqual([{ type: "drain" }]);
  expect(posted).toEqual([ready]);
});

test("a parent that is already gone is reported, and sending to it does not throw", async () => {
  const child = Object.assign(new EventEmitter(), {
    connected: false,
    send: () => {
      throw new Error("ERR_IPC_CHANNEL_CLOSED");
    },
  });
  const parent = port(child);
  parent.send(ready);
  await new Promise<void>((resolve) => parent.onDisconnect(resolve));
});

test("under fork, messages pass both ways and the parent's death is noticed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "longhaul-port-"));
  folders.push(folder);
  const script = join(folder, "child.ts");
  writeFileSync(
    script,
    `import { parentPort } from ${JSON.stringify(join(import.meta.dirname, "parent_port.ts"))};
     const parent = parentPort();
     parent.onDisconnect(() => process.exit(7));
     parent.onMessage((message) => parent.send(message));`,
  );
  const child = fork(script, [], { execArgv: [] });
  // Sent before the child listens: it must not be lost.
  child.send({ type: "drain" });
  const [echo] = await once(child, "message");
  expect(echo).toEqual({ type: "drain" });
  child.disconnect();
  const [code] = await once(child, "exit");
  expect(code).toBe(7);
});
