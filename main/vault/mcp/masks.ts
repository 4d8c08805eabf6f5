/** Masks the values of a credential in whatever its server answers. */
import { Redactor } from "../redact.ts";

export interface Mask {
  redactor: Redactor;
  /** Idempotent. */
  giveBack: () => void;
}

/**
 * One redactor per credential while requests with it are open: an event stream lasts for hours, in which the tokens are
 * renewed by other requests, and a server may echo the new ones on the old stream.
 */
export class Masks {
  readonly #used = new Map<string, { redactor: Redactor; users: number }>();

  take(secretId: string): Mask {
    const used = this.#used.get(secretId) ?? { redactor: new Redactor([]), users: 0 };
    used.users += 1;
    this.#used.set(secretId, used);
    let open = true;
    return {
      redactor: used.redactor,
      giveBack: () => {
        if (!open) return;
        open = false;
        used.users -= 1;
        if (used.users === 0) this.#used.delete(secretId);
      },
    };
  }
}

/** For servers without a credential: there is nothing to mask. */
export const NO_MASK: Mask = { redactor: new Redactor([]), giveBack: () => undefined };
