/** Lets the keyboard, which is handled in one place, answer the approval that is on screen. */

type Answer = (key: "allow" | "deny") => void;

let current: Answer | null = null;

/** Makes this the approval that keys answer. Returns a function that takes it back. */
export function registerApproval(answer: Answer): () => void {
  current = answer;
  return () => {
    if (current === answer) current = null;
  };
}

/** Answers the approval on screen; false when there is none. */
export function answerApproval(key: "allow" | "deny"): boolean {
  current?.(key);
  return current !== null;
}
