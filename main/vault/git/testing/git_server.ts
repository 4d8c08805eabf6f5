/** A real git server for tests: `git http-backend` behind a small web server that asks for a sign-in as hosts do. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface GitServer {
  url: string;
  /** Method, path and decoded sign-in of each request. */
  requests: { method: string; path: string; user: string | null; protocol: string | null }[];
  /** The sign-ins that are taken, `user:password`; `*` for any user. */
  accounts: string[];
  /** Answers a request in the server's place when it returns true. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean;
  /** Makes a repository with a commit on main; returns the folder of the bare repository. */
  make(name: string): string;
  /** Runs git in a bare repository. */
  git(name: string, ...args: string[]): string;
  close(): Promise<void>;
}

const BACKEND = join(execFileSync("git", ["--exec-path"], { encoding: "utf8" }).trim(), "git-http-backend");

/** Git as on a machine without settings. */
export const CLEAN_ENV: Record<string, string> = {
  PATH: process.env["PATH"] ?? "",
  HOME: "/nonexistent",
  GIT_CONFIG_NOSYSTEM: "1",
  GIT_TERMINAL_PROMPT: "0",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.com",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.com",
  LC_ALL: "C",
};

export async function gitServer(host = "127.0.0.1"): Promise<GitServer> {
  const root = mkdtempSync(join(tmpdir(), "git-server-"));
  const run = (cwd: string, ...args: string[]): string =>
    execFileSync("git", args, { cwd, env: CLEAN_ENV, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  const served: GitServer = {
    url: "",
    requests: [],
    accounts: [],
    intercept: () => false,
    make: (name) => {
      const bare = join(root, `${name}.git`);
      mkdirSync(bare, { recursive: true });
      run(bare, "init", "-q", "--bare", "-b", "main");
      run(bare, "config", "http.receivepack", "true");
      const work = mkdtempSync(join(tmpdir(), "git-seed-"));
      run(work, "init", "-q", "-b", "main");
      writeFileSync(join(work, "a.txt"), "one\n");
      run(work, "add", ".");
      run(work, "commit", "-q", "-m", "first");
      run(work, "push", "-q", bare, "main");
      rmSync(work, { recursive: true });
      return bare;
    },
    git: (name, ...args) => run(join(root, `${name}.git`), ...args),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(root, { recursive: true, force: true });
    },
  };
  const server = createServer((request, response) => answer(served, root, request, response));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  served.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return served;
}

function answer(served: GitServer, root: string, request: IncomingMessage, response: ServerResponse): void {
  const basic = /^Basic (.+)$/.exec(request.headers.authorization ?? "")?.[1];
  const user = basic === undefined ? null : Buffer.from(basic, "base64").toString();
  const [path = "", query = ""] = (request.url ?? "").split("?");
  const protocol = (request.headers["git-protocol"] as string | undefined) ?? null;
  served.requests.push({ method: request.method ?? "", path: request.url ?? "", user, protocol });
  if (served.intercept(request, response)) return;
  if (served.accounts.length > 0 && !served.accounts.some((account) => takes(account, user))) {
    response.writeHead(401, { "www-authenticate": 'Basic realm="git"' });
    return void response.end("no");
  }
  // As on GitHub: with and without the suffix.
  const folder = /^(.*?)(\.git)?\/(info\/refs|git-(?:upload|receive)-pack)$/.exec(path);
  if (folder === null || !existsSync(join(root, `${folder[1]}.git`))) return void response.writeHead(404).end("none");
  const backend = spawn(BACKEND, [], {
    env: {
      ...CLEAN_ENV,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      GIT_PROTOCOL: protocol ?? "",
      PATH_INFO: `${folder[1]}.git/${folder[3]}`,
      QUERY_STRING: query,
      REQUEST_METHOD: request.method ?? "",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: (request.headers["content-encoding"] as string | undefined) ?? "",
      REMOTE_USER: "somebody",
    },
    stdio: ["pipe", "pipe", "ignore"],
  });
  backend.stdin.on("error", () => undefined);
  request.pipe(backend.stdin);
  request.on("close", () => request.complete || backend.kill());
  let head = Buffer.alloc(0);
  let begun = false;
  backend.stdout.on("data", (chunk: Buffer) => {
    if (begun) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) return;
    begun = true;
    const lines = head.toString("latin1", 0, end).split("\r\n");
    const headers = lines.map((line) => line.split(": ") as [string, string]);
    const status = headers.find(([name]) => name === "Status")?.[1] ?? "200";
    response.writeHead(Number.parseInt(status, 10), Object.fromEntries(headers.filter(([name]) => name !== "Status")));
    response.write(head.subarray(end + 4));
  });
  backend.on("close", () => response.end());
}

function takes(account: string, given: string | null): boolean {
  if (given === null) return false;
  return account.startsWith("*:") ? given.endsWith(account.slice(1)) : account === given;
}
