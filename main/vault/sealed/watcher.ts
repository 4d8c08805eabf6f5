/** Port: whoever must know of sealed texts that were opened, before they are used. */

export interface SealedWatcher {
  /** Texts that can be opened by now, whether anybody asked for them or not. Must not reject. */
  readable(texts: readonly string[]): void;
  /** Called after {@link readable} and before a text is handed out. Rejects with Refusal when it must not be used. */
  beforeUse(): Promise<void>;
}
