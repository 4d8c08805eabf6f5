import { PassThrough, Readable } from "node:stream";
import { expect, test } from "vitest";
import { BuildLog } from "./base_image.ts";
import { type EngineReport, PullProgress, reports, Stalled } from "./engine_stream.ts";

const never = new AbortController().signal;

async function all(stream: Readable, stallMs = 1000, signal = never): Promise<EngineReport[]> {
  const seen: EngineReport[] = [];
  for await (const report of reports(stream, stallMs, signal)) seen.push(report);
  return seen;
}

test("reports are read however they are cut; what is none is passed over", async () => {
  const text = '{"status":"Pulling"}\r\n\r\nnot json\n{"stream":"Step 1/2"}\n[1]\n{"half":';
  const bytes = Readable.from([...text].map((char) => Buffer.from(char)));
  expect(await all(bytes)).toEqual([{ status: "Pulling" }, { stream: "Step 1/2" }, [1]]);
});

test("a reported error ends it with the engine's words, and closes the stream", async () => {
  const stream = Readable.from([Buffer.from('{"status":"a"}\n{"error":"no such host"}\n{"status":"b"}\n')]);
  await expect(all(stream)).rejects.toThrow("no such host");
  expect(stream.destroyed).toBe(true);
});

test("silence ends it after its limit, which every report starts anew", async () => {
  const stream = new PassThrough();
  const sending = setInterval(() => stream.write('{"status":"x"}\n'), 20);
  setTimeout(() => clearInterval(sending), 200);
  const started = performance.now();
  await expect(all(stream, 100)).rejects.toBeInstanceOf(Stalled);
  expect(performance.now() - started).toBeGreaterThan(250);
  expect(stream.destroyed).toBe(true);
});

test("a broken connection is an error and not an end; an abort ends it at once", async () => {
  const broken = new PassThrough();
  broken.write('{"status":"x"}\n');
  setTimeout(() => broken.destroy(new Error("socket hang up")), 10);
  await expect(all(broken)).rejects.toThrow("socket hang up");

  const abort = new AbortController();
  const waiting = new PassThrough();
  setTimeout(() => abort.abort(new Error("given up")), 10);
  await expect(all(waiting, 60_000, abort.signal)).rejects.toThrow("given up");
  await expect(all(new PassThrough(), 60_000, abort.signal)).rejects.toThrow("given up");
});

test("a pull is summed up over its layers", () => {
  const progress = new PullProgress();
  expect(progress.add({ status: "Pulling from library/debian", id: "12" })).toBeNull();
  progress.add({ id: "a", status: "Already exists" });
  progress.add({ id: "b", status: "Pulling fs layer" });
  const half = { current: 5_000_000, total: 10_000_000 };
  expect(progress.add({ id: "b", status: "Downloading", progressDetail: half })).toBe("1 of 2 layers, 5 of 10 MB");
  progress.add({ id: "b", status: "Download complete" });
  expect(progress.add({ id: "b", status: "Pull complete" })).toBe("2 of 2 layers, 10 of 10 MB");
  expect(progress.add({ status: "Digest: sha256:x" })).toBeNull();
});

test("a build knows its step and what was printed last in it, for Docker's form and Podman's", () => {
  const log = new BuildLog();
  log.add("Step 1/9 : FROM debian:bookworm-slim\n");
  log.add(" ---> 1234\n");
  expect(log.step).toBe("step 1/9 (FROM debian:bookworm-slim)");
  log.add("STEP 2/9: RUN sh setup.sh\n");
  expect(log.add("Get:1 bookworm\nE: Unable to fetch\n")).toBe("Building the sandbox image: E: Unable to fetch");
  expect(log.step).toBe("step 2/9 (RUN sh setup.sh)");
  expect(log.lastLines()).toBe("Get:1 bookworm\nE: Unable to fetch");
});
