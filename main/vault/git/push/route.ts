/** `POST …/git-receive-pack`: nothing goes to the server before the push is known to be the session's to make. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import type { RepositoryGrant } from "../../../contract/vaults/grants.ts";
import { PUSH_HEADERS, type Push } from "../../../contract/vaults/pushes.ts";
import { Refusal } from "../../refusal.ts";
import { bounded } from "../advertisement.ts";
import { ByteSource } from "../byte_source.ts";
import { malformed } from "../pkt_line.ts";
import type { Remote } from "../remote.ts";
import { type PushCommands, readCommands, writeCommands } from "./commands.ts";
import { judge, type No } from "./judge.ts";
import { RESULT_TYPE, rejection } from "./report.ts";

const MAX_PUSH_BYTES = 4 * 1024 ** 3;
const MAX_RESULT_BYTES = 64 * 1024 * 1024;
const WAITS = "This push waits for a person's approval. Push again, unchanged, once it is approved.";
const DENIED = "A person denied this push.";

export interface PushRequestContext {
  grant: RepositoryGrant;
  /** Opens the token. */
  remote: () => Promise<Remote>;
  /** Told what became of it: a use of the token, or a refusal. */
  note: (decision: "allowed" | "refused", reason: string) => void;
}

/**
 * Answers one push. What git can show is an answer of git's own; rejects with {@link Refusal} for what is no push. The
 * whole request has been read when it settles: a client that still sends would not see the answer.
 */
export async function answerPush(
  request: IncomingMessage,
  response: ServerResponse,
  context: PushRequestContext,
): Promise<void> {
  const source = new ByteSource(bodyOf(request));
  try {
    const commands = await readCommands(source);
    if (commands.updates.length === 0) return result(response, Buffer.alloc(0));
    const { grant } = context;
    const verdict = await judge(commands, source, grant, context.remote);
    if (!verdict.pass) return await reject(response, source, commands, verdict, context);
    const { update, remote } = verdict;
    const ids = `${update.old}:${update.new}`;
    if (grant.push !== "allow" && !idsIn(request, PUSH_HEADERS.approved).includes(ids)) {
      const push: Push = {
        resource_id: grant.resource_id,
        repository_url: grant.url,
        branch: update.ref,
        old: update.old,
        new: update.new,
        commits: verdict.commits,
      };
      if (idsIn(request, PUSH_HEADERS.denied).includes(ids)) {
        return await reject(response, source, commands, { pass: false, reason: "denied", text: DENIED }, context);
      }
      response.setHeader(PUSH_HEADERS.waits, Buffer.from(JSON.stringify(push)).toString("base64url"));
      return await reject(
        response,
        source,
        commands,
        { pass: false, reason: "waits for approval", text: WAITS },
        context,
      );
    }
    context.note("allowed", `git-receive-pack ${update.ref} ${update.old.slice(0, 12)}..${update.new.slice(0, 12)}`);
    const answer = await remote.call(
      "git-receive-pack",
      (async function* () {
        yield writeCommands(commands, update);
        yield verdict.held;
        yield* source.rest();
      })(),
    );
    response.setHeader(PUSH_HEADERS.passed, ids);
    response.writeHead(200, { "content-type": RESULT_TYPE, "cache-control": "no-cache" });
    await pipeline(answer, remote.redactor.stream(MAX_RESULT_BYTES), response).catch(() => response.destroy());
  } catch (error) {
    await drain(source);
    throw error;
  }
}

async function reject(
  response: ServerResponse,
  source: ByteSource,
  commands: PushCommands,
  { reason, text }: No,
  { note }: PushRequestContext,
): Promise<void> {
  note(
    "refused",
    `git-receive-pack ${commands.updates
      .map(({ ref }) => ref)
      .join(" ")
      .slice(0, 300)}: ${reason}`,
  );
  await drain(source);
  result(response, rejection(commands, reason, text));
}

function result(response: ServerResponse, body: Buffer): void {
  response.writeHead(200, { "content-type": RESULT_TYPE, "cache-control": "no-cache", "content-length": body.length });
  response.end(body);
}

/** Reads what is left, so that the answer is seen by a client that sends everything first. Never rejects. */
async function drain(source: ByteSource): Promise<void> {
  try {
    for (let chunk = await source.chunk(); chunk !== null; chunk = await source.chunk());
  } catch {
    // Broken off or too large: nobody waits for an answer.
  }
}

function bodyOf(request: IncomingMessage): AsyncIterable<Buffer> {
  const coding = request.headers["content-encoding"]?.trim().toLowerCase() ?? "identity";
  if (coding === "identity") return bounded(request, MAX_PUSH_BYTES);
  if (coding !== "gzip" && coding !== "x-gzip") {
    throw new Refusal(415, "invalid_request_error", `The coding ${JSON.stringify(coding)} is not read here.`);
  }
  const unzipped = createGunzip();
  request.on("error", (error) => unzipped.destroy(error));
  request.on("close", () => request.complete || unzipped.destroy(new Error("it broke off")));
  return bounded(readable(request.pipe(unzipped)), MAX_PUSH_BYTES);
}

async function* readable(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* stream;
  } catch {
    throw malformed("its gzip is broken");
  }
}

function idsIn(request: IncomingMessage, name: string): string[] {
  const value = request.headers[name];
  return typeof value === "string" ? value.split(",") : [];
}
