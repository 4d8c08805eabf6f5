/** Uses of credentials by one intercepted connection, on their way into the audit log. */
import type { CredentialUse, VariableGrant } from "../../../contract/vaults/grants.ts";
import type { AuditLog } from "../../grants/audit.ts";
import type { Replacement } from "./message/placeholders.ts";
import type { Usable } from "./variables.ts";

type Where = "header" | "body";
type Named = Pick<CredentialUse, "vault_id" | "credential_id">;

/** What one request has got so far and was not noted. */
export class Uses {
  readonly #log: UseLog;
  readonly #used = new Map<Usable, Set<Where>>();

  constructor(log: UseLog) {
    this.#log = log;
  }

  /** Replacements of those that may stand there; each use is remembered. */
  replacements(usable: readonly Usable[], where: Where): Replacement[] {
    return usable
      .filter((variable) => variable[where])
      .map((variable) => ({
        placeholder: variable.placeholder,
        value: variable.value,
        onUse: () => void this.#used.set(variable, (this.#used.get(variable) ?? new Set()).add(where)),
      }));
  }

  /** Notes them: the request goes out. */
  sent(method: string): void {
    for (const [variable, where] of this.#used) {
      const places = [...where].map((place) => (place === "header" ? "a header" : "the body")).join(" and ");
      this.#log.note(variable, "allowed", `put into ${places} of a ${method} request`);
    }
    this.#used.clear();
  }
}

export class UseLog {
  readonly #audit: AuditLog;
  readonly #connection: { session_id: string; host: string };

  constructor(audit: AuditLog, connection: { session_id: string; host: string }) {
    this.#audit = audit;
    this.#connection = connection;
  }

  note({ vault_id, credential_id }: Named, decision: CredentialUse["decision"], reason: string): void {
    this.#audit.note({ ...this.#connection, vault_id, credential_id, route: "egress", decision, reason });
  }

  /** Notes that none of these was used, and why. */
  refuseAll(grants: readonly Pick<VariableGrant, "credential">[], reason: string): void {
    for (const { credential } of grants) this.note(credential, "refused", reason);
  }
}
