import { FRAME, MAX_CONNECTIONS, MAX_PAYLOAD, WINDOW } from "./frames.ts";

/** The relay for images with Node.js but no Python. Speaks the frames of `frames.ts`; old syntax for old versions. */
export const nodeRelay = (port: number): string => `
"use strict";
var net = require("net"), WINDOW = ${WINDOW}, PAYLOAD = ${MAX_PAYLOAD}, LIMIT = ${MAX_CONNECTIONS}, PORT = ${port};
var F = ${JSON.stringify(FRAME)}, conns = new Map(), last = 0, heard = Date.now(), held = Buffer.alloc(0);
var input = process.stdin, output = process.stdout, full = false;
function gone() { process.exit(0); }
function send(kind, id, payload) {
  var head = Buffer.alloc(9);
  head[0] = kind; head.writeUInt32BE(id, 1); head.writeUInt32BE(payload ? payload.length : 0, 5);
  output.cork();
  var room = output.write(head);
  if (payload && payload.length) room = output.write(payload);
  process.nextTick(function () { output.uncork(); });
  if (!room && output.writableLength > 8 * PAYLOAD) full = true;
}
output.on("error", gone);
output.on("drain", function () { full = false; conns.forEach(flow); });
function flow(c) {
  if (c.waiting.length || full || c.credit <= 0) c.sock.pause(); else c.sock.resume();
  while (c.waiting.length && !full && c.credit > 0) {
    var chunk = c.waiting[0], part = chunk.slice(0, Math.min(c.credit, PAYLOAD));
    if (part.length === chunk.length) c.waiting.shift(); else c.waiting[0] = chunk.slice(part.length);
    c.credit -= part.length;
    send(F.data, c.id, part);
  }
  if (c.ended && !c.waiting.length && !c.endSent) { c.endSent = true; send(F.end, c.id); }
  else if (!c.ended && !c.waiting.length && !full && c.credit > 0) c.sock.resume();
}
function accept(sock) {
  last = last % 0xffffffff + 1;
  var c = { id: last, sock: sock, credit: WINDOW, taken: 0, waiting: [], ended: false, endSent: false, mute: false };
  conns.set(c.id, c);
  sock.setNoDelay(true);
  send(F.open, c.id);
  sock.on("data", function (chunk) { c.waiting.push(chunk); flow(c); });
  sock.on("end", function () { c.ended = true; flow(c); });
  sock.on("error", function () { if (!c.mute) { c.mute = true; send(F.reset, c.id); } });
  sock.on("close", function () {
    if (!conns.delete(c.id)) return;
    if (!c.mute && !(c.endSent && sock.writableEnded)) send(F.reset, c.id);
  });
}
function handle(kind, id, payload) {
  if (kind === F.ping) return send(F.ping, 0);
  var c = conns.get(id);
  if (!c) return;
  if (kind === F.end) c.sock.end();
  else if (kind === F.reset) { c.mute = true; conns.delete(id); if (c.sock.resetAndDestroy) c.sock.resetAndDestroy(); else c.sock.destroy(); }
  else if (kind === F.window) { c.credit += payload.readUInt32BE(0); flow(c); }
  else if (kind === F.data) c.sock.write(payload, function (error) {
    if (error || !conns.has(id)) return;
    c.taken += payload.length;
    if (c.taken < WINDOW / 4) return;
    var credit = Buffer.alloc(4);
    credit.writeUInt32BE(c.taken, 0);
    c.taken = 0;
    send(F.window, id, credit);
  });
}
input.on("data", function (chunk) {
  heard = Date.now();
  held = held.length ? Buffer.concat([held, chunk]) : chunk;
  while (held.length >= 9) {
    var size = held.readUInt32BE(5);
    if (held.length < 9 + size) break;
    handle(held[0], held.readUInt32BE(1), held.slice(9, 9 + size));
    held = held.slice(9 + size);
  }
});
input.on("end", gone);
input.on("error", gone);
setInterval(function () { if (Date.now() - heard > 90000) gone(); }, 10000);
var server = net.createServer({ allowHalfOpen: true, pauseOnConnect: false }, accept), tries = 0;
server.maxConnections = LIMIT;
server.on("error", function () {
  if (++tries < 20) return void setTimeout(function () { server.listen(PORT, "127.0.0.1"); }, 150);
  send(F.failed, 0, Buffer.from("port " + PORT + " in the container is taken by another program"));
  setTimeout(gone, 50);
});
server.listen(PORT, "127.0.0.1", 256, function () { send(F.hello, 0); });
`;
