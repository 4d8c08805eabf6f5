/** Sends a request as it stands: no client in between corrects its path or its body. */
import { Agent, request } from "node:http";
import type { OddRequest } from "./requests.ts";

export interface Answered {
  status: number;
  headers: Headers;
  /** "" of a stream, which is closed as soon as it has begun. */
  text: string;
}

/** Connections to one server; end it with `destroy`. */
export class Sender {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #url: URL;
  readonly #key: string;

  constructor(url: string, key: string) {
    this.#url = new URL(url);
    this.#key = key;
  }

  /** Rejects when the connection ends without an answer: a server must not do that to any request. */
  send(odd: OddRequest): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const bytes = odd.body === null ? null : Buffer.from(odd.body, "utf8");
      const headers = {
        authorization: `Bearer ${this.#key}`,
        ...odd.headers,
        ...(bytes === null ? {} : { "content-length": bytes.length }),
      };
      const { hostname, port } = this.#url;
      const outgoing = request(
        { agent: this.#agent, hostname, port, method: odd.verb, path: odd.target, headers },
        (incoming) => {
          const answer = (text: string): Answered => ({
            status: incoming.statusCode ?? 0,
            headers: new Headers(incoming.headers as Record<string, string>),
            text,
          });
          if (incoming.headers["content-type"]?.startsWith("text/event-stream") === true) {
            resolve(answer(""));
            outgoing.destroy();
            return;
          }
          const chunks: Buffer[] = [];
          incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
          incoming.on("end", () => resolve(answer(Buffer.concat(chunks).toString("utf8"))));
          incoming.on("error", reject);
        },
      );
      outgoing.on("error", reject);
      outgoing.end(bytes ?? undefined);
    });
  }

  destroy(): void {
    this.#agent.destroy();
  }
}
