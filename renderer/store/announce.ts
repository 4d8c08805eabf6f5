/** Short sentences for people who do not see the screen change. */
import { create } from "zustand";

export const useAnnouncement = create<{ text: string }>(() => ({ text: "" }));

export function announce(text: string): void {
  useAnnouncement.setState({ text });
}
