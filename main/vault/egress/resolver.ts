/** Names to addresses, once per connection: the address that was checked is the one that is connected to. */
import { lookup } from "node:dns/promises";
import { EgressRefusal } from "./refusal.ts";

/** All addresses of a host name. Rejects when there are none. */
export type Resolve = (host: string) => Promise<string[]>;

/** The system's resolver, as every other program of this machine uses it. */
export const systemResolve: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

export class Resolver {
  readonly #resolve: Resolve;
  readonly #parallel: number;
  readonly #inFlight = new Map<string, Promise<string[]>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  /**
   * @param parallel lookups at a time. The system's resolver blocks one of four threads per lookup, and the model route
   * needs threads too: a sandbox that asks for names which never resolve must not stop the model.
   */
  constructor(resolve: Resolve, parallel = 2) {
    this.#resolve = resolve;
    this.#parallel = parallel;
  }

  /** Connections that ask for the same name at the same time share one lookup. Rejects with {@link EgressRefusal}. */
  addresses(host: string): Promise<string[]> {
    const known = this.#inFlight.get(host);
    if (known !== undefined) return known;
    const asked = this.#lookup(host).finally(() => this.#inFlight.delete(host));
    this.#inFlight.set(host, asked);
    return asked;
  }

  async #lookup(host: string): Promise<string[]> {
    if (this.#running >= this.#parallel) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
    try {
      return await this.#resolve(host);
    } catch {
      throw new EgressRefusal("unresolved", `The name ${host} could not be resolved.`);
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }
}
