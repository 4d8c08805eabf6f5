/** Keeps a server that asks for the same permissions again and again from sending a person to sign in again and again. */
import type { Grant } from "../credentials/grant.ts";
import { Refusal } from "../refusal.ts";
import type { Challenge } from "./challenges.ts";
import { scopesBefore } from "./scopes.ts";
import type { SignIn } from "./sign_in.ts";

/** Sign-ins that ask for nothing new, in answer to `insufficient_scope`. The first may be a person who changed their mind. */
const MOST = 2;
const WITHIN_MS = 600_000;

export class StepUps {
  readonly #vain = new Map<string, { times: number; since: number }>();

  /**
   * Counts a sign-in that answers a challenge for more scopes.
   * @throws Refusal when the ones before it asked for the same and changed nothing
   */
  check(credentialId: string, challenge: Challenge | null, before: Grant | null, { scopes, server }: SignIn): void {
    const asked = new Set(scopesBefore(before, server));
    const vain = challenge?.error === "insufficient_scope" && scopes.every((scope) => asked.has(scope));
    if (!vain || before === null) return;
    const known = this.#vain.get(credentialId);
    const count = known !== undefined && Date.now() - known.since < WITHIN_MS ? known : { times: 0, since: Date.now() };
    if (count.times >= MOST) {
      const text = `${new URL(server.issuer).host} was asked for these permissions before, and the MCP server still wants them. Signing in again would change nothing; nothing was changed. Ask whoever runs the server, or try again in ten minutes.`;
      throw new Refusal(403, "permission_error", text, "not_granted");
    }
    count.times += 1;
    this.#vain.set(credentialId, count);
  }
}
