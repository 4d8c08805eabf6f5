/** The one thing that may lie over the desk. */
import { create } from "zustand";

export type Overlay = "palette" | "help" | "resume" | "list";

export const useOverlay = create<{ overlay: Overlay | null }>(() => ({ overlay: null }));

export function openOverlay(overlay: Overlay): void {
  useOverlay.setState({ overlay });
}

export function closeOverlay(): void {
  useOverlay.setState({ overlay: null });
}
