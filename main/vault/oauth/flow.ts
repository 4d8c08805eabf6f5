/** A sign-in while a person is in the browser, and for a while after. In memory: a broker that died forgets it. */
import type { OAuthBegin, OAuthFlow } from "../../contract/vaults/oauth.ts";
import { Waiters } from "../waiters.ts";
import type { SignIn } from "./sign_in.ts";

type Outcome =
  | Pick<Extract<OAuthFlow, { state: "done" }>, "state" | "auth" | "scopes">
  | { state: "failed"; message: string };

export class Flow {
  readonly begin: OAuthBegin;
  readonly signIn: SignIn;
  /** Ends what is under way when the sign-in is cancelled. */
  readonly left: AbortController;
  /** Runs out when nobody signs in. */
  late: NodeJS.Timeout | undefined;
  /** True once the browser came back. */
  returned = false;
  #outcome: Outcome | null = null;
  readonly #waiters = new Waiters();

  constructor(begin: OAuthBegin, signIn: SignIn, left: AbortController) {
    this.left = left;
    this.begin = begin;
    this.signIn = signIn;
  }

  get waiting(): boolean {
    return this.#outcome === null;
  }

  view(): OAuthFlow {
    const { server, authorizationUrl } = this.signIn;
    return {
      flow_id: this.begin.flow_id,
      authorization_url: authorizationUrl,
      authorization_server: new URL(server.issuer).host,
      ...(this.#outcome ?? { state: "waiting" }),
    };
  }

  /** The first outcome counts; false for a later one. */
  settle(outcome: Outcome): boolean {
    if (this.#outcome !== null) return false;
    this.#outcome = outcome;
    this.#waiters.wake();
    return true;
  }

  /** Resolves when it is settled, after `ms`, or when `signal` aborts. */
  async settled(ms: number, signal: AbortSignal): Promise<void> {
    await this.#waiters.until(() => !this.waiting, ms, signal);
  }
}
