/** How a person has arranged the view of a session: what is folded, what is opened, where the list stands. */
import { create } from "zustand";
import { toggled } from "./prefs.ts";
import { isStrings, load, save } from "./saved.ts";

export interface View {
  collapsed: ReadonlySet<string>;
  /** Rows opened or closed by hand; others follow the rule of the list. */
  opened: ReadonlyMap<string, boolean>;
}

/** First line on screen; null follows the end. */
type Anchor = string | null;

interface Views {
  views: Readonly<Record<string, View>>;
  /** Times of the first and last line on screen, per session: drawn as a window on the overview. */
  windows: Readonly<Record<string, { from: number; to: number }>>;
}

const EMPTY: View = { collapsed: new Set(), opened: new Map() };
/** Sessions whose arrangement is remembered across reloads. */
const REMEMBERED = 20;

interface SavedView {
  id: string;
  collapsed: string[];
  opened: [string, boolean][];
  anchor: Anchor;
}

function isSaved(value: unknown): value is SavedView[] {
  return (
    Array.isArray(value) &&
    value.every((view) => typeof view?.id === "string" && isStrings(view.collapsed) && Array.isArray(view.opened))
  );
}

function restore(): Record<string, View> {
  const views: Record<string, View> = {};
  for (const { id, collapsed, opened, anchor } of load<SavedView[]>("views", [], isSaved)) {
    views[id] = { collapsed: new Set(collapsed), opened: new Map(opened) };
    if (typeof anchor === "string") anchors.set(id, anchor);
  }
  return views;
}

/** Not a part of the view: scrolling must not draw anything anew. */
const anchors = new Map<string, string>();

const useViews = create<Views>(() => ({ views: restore(), windows: {} }));

export function useView(session: string): View {
  return useViews((state) => state.views[session] ?? EMPTY);
}

export function viewOf(session: string): View {
  return useViews.getState().views[session] ?? EMPTY;
}

export function useWindow(session: string): { from: number; to: number } | null {
  return useViews((state) => state.windows[session] ?? null);
}

export function setWindow(session: string, from: number, to: number): void {
  const known = useViews.getState().windows[session];
  if (known?.from === from && known.to === to) return;
  useViews.setState((state) => ({ windows: { ...state.windows, [session]: { from, to } } }));
}

let saving: ReturnType<typeof setTimeout> | null = null;

function change(session: string, patch: Partial<View>): void {
  const { views } = useViews.getState();
  const { [session]: old = EMPTY, ...others } = views;
  // The session touched last comes last: the oldest are forgotten first.
  useViews.setState({ views: { ...others, [session]: { ...old, ...patch } } });
  saving ??= setTimeout(saveViews, 300);
}

function saveViews(): void {
  saving = null;
  const { views } = useViews.getState();
  const ids = [...new Set([...Object.keys(views), ...anchors.keys()])].slice(-REMEMBERED);
  const saved = ids
    .map((id) => [id, views[id] ?? EMPTY] as const)
    .map(([id, view]) => ({
      id,
      collapsed: [...view.collapsed],
      opened: [...view.opened],
      anchor: anchors.get(id) ?? null,
    }));
  save("views", saved);
}

addEventListener("pagehide", () => saving !== null && saveViews());

export function toggleCollapsed(session: string, id: string): void {
  change(session, { collapsed: toggled(viewOf(session).collapsed, id) });
}

export function setOpened(session: string, id: string, open: boolean): void {
  change(session, { opened: new Map(viewOf(session).opened).set(id, open) });
}

export function anchorOf(session: string): Anchor {
  return anchors.get(session) ?? null;
}

export function setAnchor(session: string, anchor: Anchor): void {
  if (anchorOf(session) === anchor) return;
  if (anchor === null) anchors.delete(session);
  else anchors.set(session, anchor);
  saving ??= setTimeout(saveViews, 300);
}
