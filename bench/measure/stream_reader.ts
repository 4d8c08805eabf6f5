/**
 * The reading side of the stream benchmark, in a process of its own: opens streams over loopback, parses every frame,
 * checks the order, and reports when each frame was parsed. Told over IPC what to open; `stop` ends it.
 */
import { type ClientRequest, get } from "node:http";
import { SseParser } from "../../main/contract/sse/sse.ts";

export interface ReaderJob {
  /** Base address of the API, or of the bare server. */
  url: string;
  token: string;
  /** Paths to stream from; the position is the stream's number. */
  paths: string[];
  /** Streams on the same paths, taken in turn, that are opened and never read. */
  silent: number;
  /** Streams on the same paths that break off after so many ms. */
  vanishing: number;
  vanish_ms: number;
}

export interface ReaderReport {
  /** For each stream, absolute times (ms) at which its events 0, 1, 2, … were parsed. */
  times: number[][];
  /** Events that came twice, too early or too late. */
  out_of_order: number;
  previews: number;
}

process.once("message", (job: ReaderJob) => void work(job));

async function work(job: ReaderJob): Promise<void> {
  const times: number[][] = job.paths.map(() => []);
  let out_of_order = 0;
  let previews = 0;
  const requests: ClientRequest[] = [];
  const open = (path: string, listen: (chunk: Buffer) => void): Promise<ClientRequest> =>
    new Promise((resolve, reject) => {
      const request = get(job.url + path, { agent: false, headers: { "x-api-key": job.token } }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`${path} answered ${response.statusCode}`));
        response.on("data", listen);
        resolve(request);
      });
      request.on("error", reject);
      requests.push(request);
    });
  const take = (stream: number, data: string, at: number): void => {
    const event = JSON.parse(data) as { type: string; content?: { text: string }[] };
    if (event.type !== "agent.message") {
      previews += 1;
      return;
    }
    const mine = times[stream] ?? [];
    const number = Number(event.content?.[0]?.text.split(" ", 1)[0]);
    if (number !== mine.length) out_of_order += 1;
    mine.push(at);
  };
  await Promise.all(
    job.paths.map((path, stream) => {
      const parser = new SseParser();
      return open(path, (chunk) => {
        for (const data of parser.push(chunk)) take(stream, data, performance.timeOrigin + performance.now());
      });
    }),
  );
  const path = (n: number): string => job.paths[n % job.paths.length] ?? "";
  for (let n = 0; n < job.silent; n++) {
    // Paused at once: the socket's buffers fill, and then the server's.
    const request = await open(path(n), () => undefined);
    request.socket?.pause();
  }
  for (let n = 0; n < job.vanishing; n++) {
    const request = await open(path(n), () => undefined);
    setTimeout(() => request.socket?.destroy(), job.vanish_ms * ((n + 1) / job.vanishing));
  }
  process.once("message", () => {
    const report: ReaderReport = { times, out_of_order, previews };
    process.send?.(report, () => {
      for (const request of requests) request.destroy();
      process.disconnect();
    });
  });
  process.send?.("ready");
}
