import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { McpResult, McpServerRef } from "./port.ts";
import { stopMcp, type TestMcp, testMcp } from "./testing/broker.ts";
import { everythingServer, stopEverything } from "./testing/everything.ts";

const live = new AbortController().signal;
const silent = (_line: string): void => undefined;

let everything: Awaited<ReturnType<typeof everythingServer>>;
let to: McpServerRef;
let fixture: TestMcp;

beforeAll(async () => {
  everything = await everythingServer();
  fixture = await testMcp({ limits: { reconnectMs: 20 } });
  to = fixture.server(everything.url);
}, 30_000);

afterAll(async () => {
  await stopMcp();
  stopEverything();
});

const run = (tool: string, input: Record<string, unknown> = {}, onProgress = silent, signal = live) =>
  fixture.mcp.call(fixture.call(to, tool, input), signal, onProgress);
const textOf = ({ content }: McpResult): string =>
  content.map((block) => (block.type === "text" ? block.text : `<${block.type}>`)).join("\n");

describe("the reference server with everything", () => {
  test("its list is stable, in its order, with instructions", async () => {
    const { mcp, sessionId } = fixture;
    // What depends on the client's abilities is registered only after the client said that it is ready.
    const all = await vi.waitFor(async () => {
      const listing = await mcp.list(sessionId, to, live);
      expect(listing.tools.map(({ name }) => name)).toContain("trigger-elicitation-request");
      return listing;
    }, 20_000);
    expect(all.instructions).toContain("Everything Server");
    const names = all.tools.map(({ name }) => name);
    expect(names.slice(0, 2)).toEqual(["echo", "get-annotated-message"]);
    expect(new Set(names).size).toBe(names.length);
    expect(all.tools.find(({ name }) => name === "get-sum")).toMatchObject({ read_only: true, idempotent: true });
    // This client offers neither roots nor sampling.
    expect(names).not.toContain("get-roots-list");
    expect(names).not.toContain("trigger-sampling-request");
    expect(all.left_out).toEqual([
      { name: "simulate-research-query", reason: "it can only be run as a background task of the protocol" },
    ]);
    const again = await mcp.list(sessionId, to, live, true);
    expect(again.tools).toEqual(all.tools);
  });

  test("text, sums and structured content", async () => {
    expect(await run("echo", { message: "Grüße 👋" })).toEqual({
      content: [{ type: "text", text: "Echo: Grüße 👋" }],
      is_error: false,
    });
    expect(textOf(await run("get-sum", { a: 2, b: 3 }))).toContain("5");
    const weather = await run("get-structured-content", { location: "New York" });
    // Once, though the server sends it as text and as structure.
    expect(weather.content).toHaveLength(1);
    expect(JSON.parse(textOf(weather))).toMatchObject({ temperature: expect.any(Number) });
  });

  test("an image, links, resources and annotations", async () => {
    const image = await run("get-tiny-image");
    expect(image.content.map(({ type }) => type)).toEqual(["text", "image", "text"]);
    expect(image.content[1]).toMatchObject({ source: { type: "base64", media_type: "image/png" } });
    const links = textOf(await run("get-resource-links", { count: 2 }));
    expect(links.match(/Resource ".*" \(.*\) at demo:\/\/\S+/g)).toHaveLength(2);
    expect(textOf(await run("get-resource-reference", { resourceType: "Text", resourceId: 1 }))).toMatch(
      /Resource demo:\/\/resource\/dynamic\/text\/1:\nResource 1: This is a plaintext resource/,
    );
    expect(textOf(await run("get-resource-reference", { resourceType: "Blob", resourceId: 2 }))).toContain("base64");
    const annotated = await run("get-annotated-message", { messageType: "error", includeImage: true });
    expect(annotated.content.map(({ type }) => type)).toEqual(["text", "image"]);
  });

  test("a compressed file is named, for no model reads it", async () => {
    const data = `data:text/plain;base64,${Buffer.from("hello").toString("base64")}`;
    const zipped = await run("gzip-file-as-resource", { name: "hello.gz", data, outputType: "resource" });
    expect(textOf(zipped)).toMatch(/type application\/gzip, about 1 KiB: it cannot be shown here/);
  });

  test("the server's own environment is all that it shows", async () => {
    const shown = textOf(await run("get-env"));
    expect(shown).toContain("PORT");
    expect(shown).not.toContain("longhaul");
  });

  test("a long operation tells its progress", async () => {
    const lines: string[] = [];
    const done = await run("trigger-long-running-operation", { duration: 0.6, steps: 3 }, (line) => lines.push(line));
    expect(textOf(done)).toContain("Long running operation completed");
    expect(lines).toEqual(["1/3", "2/3", "3/3"]);
  });

  test("a long operation can be stopped, and the next call works", async () => {
    const stop = new AbortController();
    const lines: string[] = [];
    const stopped = run(
      "trigger-long-running-operation",
      { duration: 60, steps: 600 },
      (line) => lines.push(line),
      stop.signal,
    ).catch((error: Error) => error.name);
    await vi.waitFor(() => expect(lines.length).toBeGreaterThan(0));
    stop.abort();
    expect(await stopped).toBe("AbortError");
    const said = lines.length;
    expect(textOf(await run("echo", { message: "on" }))).toBe("Echo: on");
    expect(lines.length).toBe(said);
  });

  test("a question to the person is declined, and said", async () => {
    const lines: string[] = [];
    const declined = textOf(await run("trigger-elicitation-request", {}, (line) => lines.push(line)));
    expect(declined).toContain("declined");
    expect(lines.join()).toMatch(/The server asks: .*declined, for nobody is here to answer/);
  });

  test("wrong arguments and unknown tools are results", async () => {
    expect(await run("get-sum", { a: "two" })).toMatchObject({ is_error: true });
    expect(await run("no-such-tool")).toMatchObject({ is_error: true });
  });

  test("logging is told to calls in flight, and starts and stops", async () => {
    expect(textOf(await run("toggle-simulated-logging"))).toContain("Started simulated");
    const lines: string[] = [];
    await run("trigger-long-running-operation", { duration: 0.4, steps: 1 }, (line) => lines.push(line));
    expect(textOf(await run("toggle-simulated-logging"))).toContain("Stopped simulated");
    expect(textOf(await run("toggle-subscriber-updates"))).toContain("simulated resource updated");
    expect(textOf(await run("toggle-subscriber-updates"))).toContain("Stopped");
  });

  test("a server that lost its sessions in a restart is greeted again; the call runs once", async () => {
    await everything.kill();
    everything = await everythingServer(everything.port);
    expect(textOf(await run("echo", { message: "again" }))).toBe("Echo: again");
    await everything.kill();
    const error = await run("echo", { message: "gone" }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "McpError", kind: "connection", sent: "no" });
    everything = await everythingServer(everything.port);
    expect(textOf(await run("echo", { message: "back" }))).toBe("Echo: back");
  }, 30_000);

  test("a server that dies during a call may have run it", async () => {
    const lines: string[] = [];
    const dying = run("trigger-long-running-operation", { duration: 60, steps: 600 }, (line) => lines.push(line)).catch(
      (reason: unknown) => reason,
    );
    await vi.waitFor(() => expect(lines.length).toBeGreaterThan(0));
    await everything.kill();
    expect(await dying).toMatchObject({ name: "McpError", kind: "connection", sent: "maybe" });
  }, 60_000);

  test("every tool that it has was called here", async () => {
    everything = await everythingServer(everything.port);
    const { mcp, sessionId } = fixture;
    const listing = await vi.waitFor(async () => {
      const found = await mcp.list(sessionId, to, live);
      expect(found.tools.map(({ name }) => name)).toContain("trigger-elicitation-request");
      return found;
    });
    const source = readFileSync(import.meta.filename, "utf8");
    const untried = listing.tools.filter(
      ({ name }) => !source.includes(`run("${name}"`) && !source.includes(`"${name}",`),
    );
    expect(untried.map(({ name }) => name)).toEqual([]);
  }, 30_000);
});
