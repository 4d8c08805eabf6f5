/** The access token of a repository that is attached to a session: sealed like a credential, with a record that names it. */
import type { Ledger } from "../../../session/ledger.ts";
import type { Records } from "../../../session/records/records.ts";
import { isOver } from "../sessions/session.ts";
import { everyRecord, type RepositoryToken, repositoryTokens } from "./records.ts";
import type { CredentialValues } from "./values/values.ts";

/** More than a session can have resources. */
const MOST = 1_000;

/** Seals a token in place of the one before. Rejects with ApiError when the broker cannot keep it; nothing changes then. */
export async function keepToken(
  { records, values }: { records: Records; values: CredentialValues },
  place: Omit<RepositoryToken, "secret_id">,
  token: string,
): Promise<void> {
  const table = repositoryTokens(records);
  const before = await table.get(place.id);
  const auth = { type: "static_bearer", mcp_server_url: place.url } as const;
  const owner = { id: place.id, vault_id: place.session_id };
  await values.sealed(owner, before?.value ?? null, { auth, secrets: { token } }, (secret_id) => {
    const next = { ...place, secret_id };
    return before === null ? table.insert(next) : table.replace(next, before.revision);
  });
}

/** Forgets every token of a session that is over. */
export async function forgetTokens(
  { records, values }: { records: Records; values: CredentialValues },
  sessionId: string,
): Promise<void> {
  const table = repositoryTokens(records);
  const tokens = await table.list({ scope: sessionId, limit: MOST });
  if (tokens.length === 0) return;
  await records.write(tokens.map(({ id }) => table.deletion(id)));
  await values.remove(tokens.map(({ secret_id }) => secret_id));
}

/**
 * Forgets tokens that an earlier engine left: of sessions that are over or gone, or that never came to be. Never rejects;
 * what cannot be forgotten now is left to the next start.
 * @param before ISO 8601; tokens sealed from then on may belong to a session that is being made
 */
export async function forgetLeftTokens(
  deps: { records: Records; values: CredentialValues; ledger: Pick<Ledger, "getSession"> },
  before: string,
): Promise<void> {
  try {
    const left = (await everyRecord(repositoryTokens(deps.records), {})).filter(
      ({ created_at }) => created_at < before,
    );
    for (const sessionId of new Set(left.map(({ session_id }) => session_id))) {
      const session = await deps.ledger.getSession(sessionId);
      if (session === null || isOver(session.fold)) await forgetTokens(deps, sessionId);
    }
  } catch {
    // Nobody waits for this.
  }
}
