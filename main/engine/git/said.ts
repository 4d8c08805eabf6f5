/** The broker's refusals in a form that git shows: plain text becomes its `remote: …` lines. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { readText } from "../../harness/broker_client.ts";
import type { RepositoryProblem } from "../../sandbox/port.ts";

export interface BrokerFailure {
  status: number;
  /** The broker's code; null when it gave none. */
  code: string | null;
  message: string;
  /** The contract's kind of what is wrong with the repository; absent when it is something else. */
  problem?: RepositoryProblem;
}

const PROBLEMS: Readonly<Record<string, RepositoryProblem>> = {
  sign_in_needed: "authentication",
  repository_forbidden: "forbidden",
  repository_not_found: "not_found",
  keychain_missing: "authentication",
  keychain_locked: "authentication",
  passphrase_wrong: "authentication",
  passphrase_needed: "authentication",
  key_missing: "authentication",
  value_missing: "authentication",
  store_unreadable: "authentication",
};

/** What the broker said. Never rejects. */
export async function readFailure(answer: IncomingMessage): Promise<BrokerFailure> {
  const status = answer.statusCode ?? 502;
  const text = await readText(answer).catch(() => "");
  const { message, code } = parsed(text) ?? { message: `The broker answered with ${status}. Try again.`, code: null };
  // 401 would make git ask for a password.
  const told = { status: status === 401 ? 403 : status, code, message };
  return code === "push_refused" ? told : { ...told, problem: PROBLEMS[code ?? ""] ?? "clone" };
}

function parsed(text: string): { message: string; code: string | null } | null {
  try {
    const { error } = JSON.parse(text) as { error: { message: string; details?: { error_code?: string } } };
    return { message: error.message, code: error.details?.error_code ?? null };
  } catch {
    return null;
  }
}

/** Answers a request of git's; the problem's name lets whoever clones tell the kinds apart. */
export function sayFailure(response: ServerResponse, { status, message, problem }: BrokerFailure): void {
  if (response.headersSent) return void response.destroy();
  const line = message.replace(/\s+/g, " ");
  const body = `Longhaul: ${line}${problem === undefined ? "" : ` [repository_${problem}]`}\n`;
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", connection: "close" });
  response.end(body);
}
