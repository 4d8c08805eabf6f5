/** WebSockets: the request's headers get values, and what the host then says is masked. Messages to it go as they are. */
import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Departure, Exchange } from "./exchange.ts";
import { RequestRefused } from "./message/refused.ts";
import { maskingStream } from "./message/response_body.ts";
import { maskedText, passedHeaders } from "./message/response_head.ts";

/** Answers a request for another protocol; never rejects. */
export async function answerUpgrade(
  exchange: Exchange,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  client.on("error", () => client.destroy());
  try {
    const { upgrade = "", "content-length": length, "transfer-encoding": coding } = request.headers;
    if (upgrade.toLowerCase() !== "websocket" || length !== undefined || coding !== undefined) {
      const text = "Of other protocols only WebSockets are passed on. Make the request without Upgrade.";
      throw new RequestRefused(400, "malformed", text);
    }
    const departure = await exchange.depart(request, ["connection", "Upgrade", "upgrade", "websocket"]);
    client.on("close", () => departure.outgoing.destroy());
    if (client.destroyed) return void departure.outgoing.destroy();
    await answered(exchange, departure, request, client, head);
  } catch (error) {
    exchange.refusalOf(error).end(client);
  }
}

function answered(
  exchange: Exchange,
  departure: Departure,
  request: IncomingMessage,
  client: Duplex,
  head: Buffer,
): Promise<void> {
  const { outgoing, redactor } = departure;
  return new Promise((resolve, reject) => {
    outgoing.once("upgrade", (answer, upstream, first) => {
      const headers = passedHeaders(answer, redactor, { changed: true, coded: true });
      const lines = ["HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: websocket"];
      for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
      client.write(Buffer.from(maskedText(`${lines.join("\r\n")}\r\n\r\n`, redactor), "latin1"));
      if (first.length > 0) upstream.unshift(first);
      if (head.length > 0) client.unshift(head);
      // Each direction by itself, since one may be through before the other; a break ends both.
      client.pipe(upstream);
      upstream.pipe(maskingStream(redactor)).pipe(client);
      upstream.on("error", () => client.destroy());
      upstream.on("close", () => void (upstream.readableEnded ? undefined : client.destroy()));
      client.on("close", () => upstream.destroy());
      resolve();
    });
    outgoing.once("response", (answer) => {
      // The host stays with HTTP; the connection has left the server, so the answer is written by hand.
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(client as Socket);
      response.once("finish", () => client.end());
      exchange.pass(answer, departure, request, response).then(resolve, reject);
    });
    outgoing.once("error", reject);
    outgoing.once("close", () => reject(Object.assign(new Error("ended"), { code: "ECONNRESET" })));
  });
}
