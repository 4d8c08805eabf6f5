/** Tries an OAuth credential at its MCP server, with a refresh when that answers 401. */
import type { ValidationOutcome } from "../../contract/vaults/broker_api.ts";
import { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import type { SealedValue } from "../sealed/sealed_store.ts";
import { probeServer } from "./mcp_probe.ts";
import type { Tokens } from "./tokens.ts";

/** Of the probes together; the engine waits a little longer. */
const VALIDATE_MS = 30_000;

/** Rejects with Refusal when the credential cannot be opened, kept, or is of another type. */
export async function validateCredential(ref: SealedValue, tokens: Tokens): Promise<ValidationOutcome> {
  const { auth, secrets } = await tokens.open(ref);
  if (auth.type !== "mcp_oauth") {
    throw new Refusal(400, "invalid_request_error", "Only mcp_oauth credentials can be validated.");
  }
  if (secrets.access_token === undefined) return { status: "invalid", mcp_probe: null, refresh: null };
  const signal = AbortSignal.timeout(VALIDATE_MS);
  const redactor = new Redactor(Object.values(secrets));
  const first = await probeServer(auth.mcp_server_url, secrets.access_token, redactor, signal);
  if (first.verdict === "accepted") return { status: "valid", mcp_probe: null, refresh: null };
  if (first.verdict === "forbidden") return { status: "invalid", mcp_probe: first.probe, refresh: null };
  if (first.verdict === "unclear") return { status: "unknown", mcp_probe: first.probe, refresh: null };

  const { state, grant, outcome } = await tokens.renew(ref, secrets.access_token, true);
  if (state !== "fresh") {
    // A token endpoint that is away or busy says nothing about the credential.
    const code = outcome?.http_response?.status_code ?? 0;
    const silent = outcome?.status === "connect_error" || code >= 500 || code === 429;
    return { status: silent ? "unknown" : "invalid", mcp_probe: first.probe, refresh: outcome };
  }
  const { access_token = "" } = grant.secrets;
  redactor.learn(Object.values(grant.secrets));
  const again = await probeServer(auth.mcp_server_url, access_token, redactor, signal);
  const refreshed = { expires_at: (grant.auth.type === "mcp_oauth" ? grant.auth.expires_at : null) ?? null };
  if (again.verdict === "accepted") return { status: "valid", mcp_probe: null, refresh: outcome, refreshed };
  const status = again.verdict === "unclear" ? "unknown" : "invalid";
  return { status, mcp_probe: again.probe, refresh: outcome, refreshed };
}
