/** Ctrl+C and other requests to stop, while a session is followed. */

export interface Interrupts {
  /** True once the session was asked to stop its turn. */
  readonly asked: boolean;
  /** Aborts when this command is to end now, whatever the session does. */
  readonly leaving: AbortSignal;
  /** What Ctrl+C does: first the turn is interrupted, then the command leaves, then everything is killed. */
  press: () => void;
  /** Stops listening to signals. */
  dispose: () => void;
}

export interface InterruptActions {
  /** Asks the session to stop its turn (a failure is told, not thrown); false while there is no session yet. */
  interrupt: () => boolean;
  /** The person no longer waits for the orderly end. */
  kill: () => void;
  say: (line: string) => void;
}

type SignalSource = Pick<NodeJS.Process, "on" | "off">;

/** Listens to SIGINT (see {@link Interrupts.press}), and to SIGTERM and SIGHUP, which leave at once. */
export function listenForInterrupts(actions: InterruptActions, source: SignalSource = process): Interrupts {
  const leaving = new AbortController();
  let presses = 0;
  let asked = false;
  const leave = (): void => {
    if (leaving.signal.aborted) return actions.kill();
    actions.say("Leaving. What was recorded stays; `longhaul resume` goes on with it.");
    leaving.abort();
  };
  const press = (): void => {
    presses += 1;
    if (presses > 1 || !actions.interrupt()) return leave();
    asked = true;
    actions.say("Interrupting the turn. Ctrl+C again leaves without waiting; the session can be resumed.");
  };
  source.on("SIGINT", press);
  source.on("SIGTERM", leave);
  source.on("SIGHUP", leave);
  return {
    get asked() {
      return asked;
    },
    leaving: leaving.signal,
    press,
    dispose: () => {
      source.off("SIGINT", press);
      source.off("SIGTERM", leave);
      source.off("SIGHUP", leave);
    },
  };
}
