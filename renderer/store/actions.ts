/** What a person can do to a session from several places: buttons, keys, the palette. Failures stay visible until dismissed. */
import { create } from "zustand";
import { answerPush, wakeSession } from "../api/local.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { confirmCall, interruptSession, setBudget } from "../api/sdk.ts";
import { announce } from "./announce.ts";

interface Actions {
  /** Names of the actions under way. */
  busy: ReadonlySet<string>;
  problem: Problem | null;
}

export const useActions = create<Actions>(() => ({ busy: new Set(), problem: null }));

/** Runs an action once at a time per name; true when it worked. */
export async function act(name: string, action: () => Promise<unknown>): Promise<boolean> {
  const { busy } = useActions.getState();
  if (busy.has(name)) return false;
  useActions.setState({ busy: new Set(busy).add(name), problem: null });
  try {
    await action();
    return true;
  } catch (error) {
    useActions.setState({ problem: problemOf(error, true) });
    return false;
  } finally {
    const left = new Set(useActions.getState().busy);
    left.delete(name);
    useActions.setState({ busy: left });
  }
}

export function dismissProblem(): void {
  useActions.setState({ problem: null });
}

export async function resume(session: string): Promise<boolean> {
  const done = await act(`resume ${session}`, () => wakeSession(session));
  if (done) announce("Resumed");
  return done;
}

export async function interrupt(session: string): Promise<boolean> {
  const done = await act(`interrupt ${session}`, () => interruptSession(session));
  if (done) announce("Interrupt sent");
  return done;
}

/** @param amount the new limit in whole cents; null removes it for good */
export async function changeBudget(session: string, amount: string | null): Promise<boolean> {
  const done = await act(`budget ${session}`, () => setBudget(session, amount));
  if (done) announce(amount === null ? "Budget removed" : "Budget changed");
  return done;
}

export async function confirm(session: string, call: string, result: "allow" | "deny", reason = ""): Promise<boolean> {
  const done = await act(`confirm ${call}`, () => confirmCall(session, call, result, reason));
  if (done) announce(result === "allow" ? "Approved" : "Denied");
  return done;
}

/** A person's word on a push. @param reason for a denial; the agent reads it */
export async function decidePush(
  session: string,
  request: string,
  result: "allow" | "deny",
  reason = "",
): Promise<boolean> {
  const done = await act(`push ${request}`, () => answerPush(session, request, result, reason));
  if (done) announce(result === "allow" ? "Push approved" : "Push denied");
  return done;
}
