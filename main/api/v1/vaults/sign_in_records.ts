/**
 * Sign-ins as they are recorded. The record is written before the broker is asked, and names the value that the broker will
 * seal: an engine that is killed in between finds it again, finishes what the person did in the browser meanwhile, and does
 * not take the value for nobody's.
 */
import type { SignIn } from "../../../contract/vaults/connections.ts";
import { RecordTable } from "../../../session/records/record_table.ts";
import type { Records } from "../../../session/records/records.ts";

export interface SignInRecord {
  /** 32 hex digits: the broker knows it by the same. */
  id: string;
  created_at: string;
  state: SignIn["state"];
  vault_id: string;
  credential_id: string;
  secret_id: string;
  /** It renews a credential that is there. */
  renews: boolean;
  mcp_server_url: string;
  display_name: string | null;
  client: { client_id: string; has_secret: boolean } | null;
  authorization_server: string | null;
  message: string | null;
  ended_at: string | null;
}

export function signInTable(records: Records): RecordTable<SignInRecord> {
  return new RecordTable<SignInRecord>(records, { kind: "connection_sign_in", state: ({ state }) => state });
}
