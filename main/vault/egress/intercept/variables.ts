/** Which variables of a session get their values at a host, and those values, opened for one request at a time. */
import { matchingPattern } from "../../../contract/egress.ts";
import type { CredentialAuth } from "../../../contract/vaults/auth.ts";
import type { VariableGrant } from "../../../contract/vaults/grants.ts";
import type { Credentials } from "../../credentials/credentials.ts";
import type { Grants } from "../../grants/grants.ts";
import { Refusal } from "../../refusal.ts";

type VariableAuth = Extract<CredentialAuth, { type: "environment_variable" }>;

/** Where a placeholder may be replaced, and whose value it stands for. */
interface Place {
  placeholder: string;
  header: boolean;
  body: boolean;
  vault_id: string;
  credential_id: string;
}

export interface Usable extends Place {
  value: string;
}

/** Its value cannot be had now; a request that needs it is not sent. */
export interface Unusable extends Place {
  refusal: Refusal;
}

export interface OpenedVariables {
  usable: Usable[];
  unusable: Unusable[];
}

export class Variables {
  readonly #grants: Pick<Grants, "variables">;
  readonly #credentials: Pick<Credentials, "open">;

  constructor(grants: Pick<Grants, "variables">, credentials: Pick<Credentials, "open">) {
    this.#grants = grants;
    this.#credentials = credentials;
  }

  /** Variables whose hosts match. Throws Refusal `grants_unknown`. @param host canonical */
  at(sessionId: string, host: string): VariableGrant[] {
    return this.#grants
      .variables(sessionId)
      .filter(({ hosts }) => hosts === null || matchingPattern(hosts, host) !== null);
  }

  /** Opens them. Rejects with Refusal `grants_unknown`. */
  async open(sessionId: string, host: string): Promise<OpenedVariables> {
    const opened: OpenedVariables = { usable: [], unusable: [] };
    for (const grant of this.at(sessionId, host)) {
      const { placeholder, header, body } = grant;
      const { vault_id, credential_id } = grant.credential;
      const place = { placeholder, header, body, vault_id, credential_id };
      try {
        const { auth, secrets } = await this.#credentials.open(grant.credential);
        if (auth.type !== "environment_variable" || secrets.secret_value === undefined) throw notOurs();
        const allowed = narrowed(place, auth, host);
        if (allowed.header || allowed.body) opened.usable.push({ ...allowed, value: secrets.secret_value });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        opened.unusable.push({ ...place, refusal: error });
      }
    }
    return opened;
  }
}

/** What was sealed with the value says where it may go: the engine's word can only take away from that. */
function narrowed(place: Place, { networking, injection_location }: VariableAuth, host: string): Place {
  const here = networking.type === "unrestricted" || matchingPattern(networking.allowed_hosts, host) !== null;
  return {
    ...place,
    header: here && place.header && injection_location.header,
    body: here && place.body && injection_location.body,
  };
}

function notOurs(): Refusal {
  const text = "This variable's credential is of another type. Archive it and create it again.";
  return new Refusal(400, "invalid_request_error", text, "value_missing");
}
