/** What the form of the model endpoint sends. */
import type { ModelChange } from "../../../main/contract/vaults/settings.ts";

export type CredentialKind = "api_key" | "auth_token" | "none";

/** Why the form cannot be sent yet, by field; null when it can. */
export interface ChangeProblem {
  field: "base_url" | "secret";
  message: string;
}

/** The body to send, or what is wrong with the form; no text repeats what was typed as a secret. */
export function changeOf(baseUrl: string, kind: CredentialKind, secret: string): ModelChange | ChangeProblem {
  const base_url = baseUrl.trim() === "" ? null : baseUrl.trim();
  if (base_url !== null && !/^https?:\/\/[^/\s]+/i.test(base_url)) {
    return { field: "base_url", message: "Write it like https://host or http://127.0.0.1:11434." };
  }
  if (kind === "none") {
    if (base_url !== null) return { base_url };
    return { field: "base_url", message: "An endpoint without a credential needs its address." };
  }
  const value = secret.trim();
  if (value === "")
    return { field: "secret", message: "Paste the key here. The one that is kept cannot be read back." };
  if (!/^[\x21-\x7e]+$/.test(value)) {
    return { field: "secret", message: "It holds spaces, line breaks or characters that no key has. Copy it again." };
  }
  return { base_url, [kind]: value };
}
