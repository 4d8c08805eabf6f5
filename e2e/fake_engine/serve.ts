/**
 * Serves the built interface and the fake engine on 127.0.0.1.
 * `node e2e/fake_engine/serve.ts [--port 4700] [--ui out/renderer] [--empty] [--bare] [--scale N] [--fill N] [--code C]`
 */
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import type { ListFrame, TimelineFrame } from "../../main/contract/local_api.ts";
import { settingProblem } from "../../main/contract/schemas/sandbox_settings.ts";
import { FakeConnections } from "./connections.ts";
import { FakeEngine } from "./engine.ts";
import { bringBack, changesOf, outputBytes, outputsOf, refusalOf } from "./workspace.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "4700" },
    ui: { type: "string", default: "out/renderer" },
    code: { type: "string", default: "let-me-in" },
    scale: { type: "string", default: "0" },
    fill: { type: "string", default: "0" },
    empty: { type: "boolean", default: false },
    bare: { type: "boolean", default: false },
  },
});

const TOKEN = "fake-token";
const engine = new FakeEngine({
  stories: !values.empty,
  scale: Number(values.scale),
  fill: Number(values.fill),
  bare: values.bare,
});

const connections = new FakeConnections(!values.empty);

const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".woff2": "font/woff2",
  ".svg": "image/svg+xml",
};
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'";

function json(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function failure(response: ServerResponse, status: number, type: string, message: string): void {
  json(response, { type: "error", error: { type, message }, request_id: "req_fake" }, status);
}

function stream(request: IncomingMessage, response: ServerResponse): (frame: { type: string }) => void {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.flushHeaders();
  const beat = setInterval(() => response.write(": keep-alive\n\n"), 2000);
  request.on("close", () => clearInterval(beat));
  return (frame) => void response.write(`event: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`);
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString("utf8");
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}

async function file(response: ServerResponse, path: string): Promise<void> {
  const name = path === "/" ? "index.html" : normalize(path).replace(/^(\.\.[/\\])+/, "");
  try {
    const bytes = await readFile(join(values.ui, name));
    response
      .writeHead(200, {
        "content-type": TYPES[extname(name)] ?? "application/octet-stream",
        "content-security-policy": CSP,
      })
      .end(bytes);
  } catch {
    failure(response, 404, "not_found_error", `${name} is not part of the interface.`);
  }
}

async function local(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  query: URLSearchParams,
): Promise<void> {
  if (path === "health") return json(response, engine.health());
  if (path === "sessions") {
    const data = [...engine.sessions.values()].flatMap((session) => session.summary() ?? []);
    return json(response, { data, next_page: null });
  }
  if (path === "stream") {
    const write = stream(request, response);
    const listener = (frame: ListFrame): void => write(frame);
    engine.listeners.add(listener);
    request.on("close", () => engine.listeners.delete(listener));
    return;
  }
  if (path === "search") {
    const text = (query.get("q") ?? "").toLowerCase();
    const data = [...engine.sessions.values()].flatMap((session) => {
      const hit = session.log.events.find(
        ({ event }) => event.type === "agent.message" && JSON.stringify(event.content).toLowerCase().includes(text),
      );
      return hit === undefined ? [] : [{ session_id: session.id, seq: hit.seq, snippet: `… ${text} …` }];
    });
    return json(response, { data });
  }
  if (path === "connections" || path.startsWith("connections/")) {
    const body = request.method === "POST" ? await bodyOf(request) : {};
    const answer = await connections.answer(request.method ?? "GET", path, body);
    if (answer === null) return failure(response, 404, "not_found_error", "There is no such connection.");
    return json(response, answer);
  }
  if (path.startsWith("blobs/")) return void response.end("first lines\nof a big file\n".repeat(20_000));
  const [, id = "", what = "", span = ""] = /^sessions\/([^/]+)\/([^/]+)\/?(.*)$/.exec(path) ?? [];
  const session = engine.sessions.get(id);
  if (session === undefined) return failure(response, 404, "not_found_error", `Session "${id}" not found.`);
  if (what === "timeline") {
    const write = stream(request, response);
    const after = Number(query.get("after") ?? 0);
    for (const stored of session.log.events.slice(after)) write({ type: "stored", stored } as TimelineFrame);
    write({ type: "caught_up", seq: session.log.events.length } as TimelineFrame);
    const summary = session.summary();
    if (summary !== null) write({ type: "activity", activity: session.activity, work: summary.work } as TimelineFrame);
    const watcher = (frame: TimelineFrame): void => write(frame);
    session.watchers.add(watcher);
    request.on("close", () => session.watchers.delete(watcher));
    return;
  }
  if (what === "events") {
    return json(response, { data: session.log.events.slice(Number(query.get("after") ?? 0)), next_after: null });
  }
  if (what === "wake") {
    engine.resume(session);
    return json(response, {});
  }
  if (what === "requests") return json(response, engine.requestContext(session, span));
  if (what === "changes" && span === "bring_back") {
    const refusal = refusalOf(session);
    if (refusal !== null) return failure(response, 409, "conflict_error", refusal);
    return json(response, { data: bringBack(session) });
  }
  if (what === "changes") return json(response, { data: changesOf(session) });
  if (what === "outputs" && span === "") return json(response, { data: outputsOf(session), note: null });
  if (what === "outputs") {
    const bytes = outputBytes(decodeURIComponent(span));
    if (bytes === null) {
      return failure(
        response,
        404,
        "not_found_error",
        `There is no output ${JSON.stringify(span)} in this session any more.`,
      );
    }
    return void response.writeHead(200, { "content-type": "application/octet-stream" }).end(bytes);
  }
  failure(response, 404, "not_found_error", `There is no ${what}.`);
}

async function contract(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const body = request.method === "POST" ? await bodyOf(request) : {};
  const [resource = "", id = "", rest = ""] = path.split("/");
  if (resource === "agents" || resource === "environments") {
    const records = engine[resource];
    if (request.method === "GET") return json(response, { data: records, next_page: null });
    const record = {
      archived_at: null,
      metadata: {},
      version: 1,
      ...body,
      id: `${resource === "agents" ? "agent" : "env"}_${records.length + 1}`,
      model: { id: body.model },
    };
    const { metadata } = record as { metadata: Record<string, string> };
    const problem = Object.entries(metadata).flatMap(([key, value]) => settingProblem(key, value) ?? [])[0];
    if (problem !== undefined) return failure(response, 400, "invalid_request_error", `metadata: ${problem}`);
    records.push(record);
    return json(response, record);
  }
  if (resource === "vaults") return json(response, { data: connections.vaults(), next_page: null });
  if (resource !== "sessions") return failure(response, 404, "not_found_error", `There is no ${resource}.`);
  if (id === "") {
    const [folder] = Array.isArray(body.resources) ? (body.resources as { path?: string }[]) : [];
    if (folder?.path?.includes("missing") === true) {
      return failure(
        response,
        400,
        "invalid_request_error",
        `resources.0.path: ${folder.path} is not a folder on this machine. Give the absolute path of a Git work tree.`,
      );
    }
    return json(response, engine.createSession(body));
  }
  const session = engine.sessions.get(id);
  if (session === undefined) return failure(response, 404, "not_found_error", `Session "${id}" not found.`);
  if (rest === "events")
    return json(response, { data: engine.receive(session, body.events as Record<string, unknown>[]) });
  session.log.now = Date.now();
  if (rest === "archive") session.log.add({ type: "longhaul.session_archived" });
  else if (request.method === "DELETE") {
    engine.sessions.delete(id);
    session.send({ type: "deleted" });
    for (const listener of engine.listeners) listener({ type: "deleted", id });
  } else session.log.add({ type: "session.updated", ...body } as never);
  json(response, { id });
}

const server = createServer((request, response) => {
  const url = new URL(request.url ?? "/", "http://127.0.0.1");
  const answer = async (): Promise<void> => {
    if (!url.pathname.startsWith("/v1/") && !url.pathname.startsWith("/longhaul/")) return file(response, url.pathname);
    if (url.pathname === "/longhaul/v1/sign_in") {
      const { code } = await bodyOf(request);
      if (code !== values.code)
        return failure(response, 401, "authentication_error", "This link was used before or is too old.");
      return json(response, { token: TOKEN });
    }
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return failure(response, 401, "authentication_error", "Unknown token.");
    if (url.pathname.startsWith("/v1/")) return contract(request, response, url.pathname.slice(4));
    return local(request, response, url.pathname.slice("/longhaul/v1/".length), url.searchParams);
  };
  answer().catch((error: unknown) => failure(response, 500, "api_error", String(error)));
});

server.listen(Number(values.port), "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : values.port;
  console.log(JSON.stringify({ url: `http://127.0.0.1:${port}`, code: values.code, pid: process.pid }));
});
process.on("SIGTERM", () => process.exit(0));
