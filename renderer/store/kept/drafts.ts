/** Texts that were typed and not sent, by place: a reload or a visit elsewhere must not lose them. */
import { create } from "zustand";
import { isString, load, save } from "./saved.ts";

const useDrafts = create<{ drafts: Record<string, string> }>(() => ({ drafts: {} }));

/** The draft of a place, and its setter. An empty text forgets the draft. */
export function useDraft(place: string): [string, (text: string) => void] {
  const text = useDrafts((state) => state.drafts[place] ?? load(`draft.${place}`, "", isString));
  return [text, (next) => setDraft(place, next)];
}

export function setDraft(place: string, text: string): void {
  useDrafts.setState((state) => ({ drafts: { ...state.drafts, [place]: text } }));
  save(`draft.${place}`, text === "" ? null : text);
}
