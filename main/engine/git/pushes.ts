/** Pushes of a session that a person decides on: durable before the sandbox hears of them. */
import type { EventDraft } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import { isSameBranch, isSamePush, type Push } from "../../contract/vaults/pushes.ts";
import type { Ledger } from "../../session/ledger.ts";

export class SessionPushes {
  readonly #ledger: Pick<Ledger, "getSession" | "emitEvent">;
  /** Requests are written one after the other: the same push twice at a time is one question. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(ledger: Pick<Ledger, "getSession" | "emitEvent">) {
    this.#ledger = ledger;
  }

  /** `old:new` of the pushes to a repository that a person has decided on. */
  async decided(sessionId: string, repositoryUrl: string): Promise<{ allowed: string[]; denied: string[] }> {
    const pushes = (await this.#pushes(sessionId)).filter((push) => push.repository_url === repositoryUrl);
    const of = (state: string) =>
      pushes.filter((push) => push.state === state).map((push) => `${push.old}:${push.new}`);
    return { allowed: of("allowed"), denied: of("denied") };
  }

  /** A push waits: a person is asked, unless they have been. Resolves when that is stored. */
  waits(sessionId: string, push: Push): Promise<void> {
    const before = this.#turns.get(sessionId) ?? Promise.resolve();
    const turn = before.catch(() => undefined).then(() => this.#ask(sessionId, push));
    this.#turns.set(sessionId, turn);
    const over = () => {
      if (this.#turns.get(sessionId) === turn) this.#turns.delete(sessionId);
    };
    turn.then(over, over);
    return turn;
  }

  async #ask(sessionId: string, push: Push): Promise<void> {
    const pushes = await this.#pushes(sessionId);
    if (pushes.some((known) => known.state !== "denied" && isSamePush(known, push))) return;
    const { resource_id, repository_url, branch, old, new: to, commits } = push;
    const request_id = newId("event");
    const asked: EventDraft = {
      type: "longhaul.push_requested",
      request_id,
      resource_id,
      repository_url,
      branch,
      old,
      new: to,
      commits,
    };
    await this.#ledger.emitEvent(sessionId, asked);
  }

  /** The server took a push. */
  async pushed(sessionId: string, push: Omit<Push, "resource_id" | "commits">): Promise<void> {
    const { repository_url, branch, old, new: to } = push;
    const whole: Push = { ...push, resource_id: "", commits: [] };
    const asked = (await this.#pushes(sessionId)).find(
      (known) => isSameBranch(known, whole) && isSamePush(known, whole),
    );
    const request_id = asked?.request_id ?? null;
    await this.#ledger.emitEvent(sessionId, {
      type: "longhaul.pushed",
      request_id,
      repository_url,
      branch,
      old,
      new: to,
    });
  }

  async #pushes(sessionId: string) {
    return (await this.#ledger.getSession(sessionId))?.fold.pushes ?? [];
  }
}
