/** The person's own settings of this view. */
import { create } from "zustand";
import { LANES, type Lane } from "../../timeline/row.ts";
import { isBoolean, isString, isStrings, load, save } from "./saved.ts";

export type Theme = "system" | "light" | "dark";
export type InspectorTab = "rendered" | "raw" | "context" | "files";

interface Prefs {
  theme: Theme;
  tab: InspectorTab;
  inspectorOpen: boolean;
  filter: string;
  hiddenLanes: ReadonlySet<Lane>;
  /** Groups of the session list that are folded away. */
  foldedGroups: ReadonlySet<string>;
}

const THEMES: readonly Theme[] = ["system", "light", "dark"];
const TABS: readonly InspectorTab[] = ["rendered", "raw", "context", "files"];

const oneOf =
  <T extends string>(values: readonly T[]) =>
  (value: unknown): value is T =>
    values.some((known) => known === value);

export const usePrefs = create<Prefs>(() => ({
  theme: load("theme", "system", oneOf(THEMES)),
  tab: load("tab", "rendered", oneOf(TABS)),
  inspectorOpen: load("inspector", true, isBoolean),
  filter: load("filter", "", isString),
  hiddenLanes: new Set(load("hidden_lanes", [], isStrings).filter(oneOf(LANES))),
  foldedGroups: new Set(load("folded_groups", ["archived"], isStrings)),
}));

export function setTheme(theme: Theme): void {
  // First the page, then those who draw with its colours.
  applyTheme(theme);
  usePrefs.setState({ theme });
  save("theme", theme);
}

/** Puts the chosen theme on the page; `system` leaves it to the style sheet's media query. */
export function applyTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function setTab(tab: InspectorTab): void {
  usePrefs.setState({ tab, inspectorOpen: true });
  save("tab", tab);
  save("inspector", true);
}

export function setInspectorOpen(inspectorOpen: boolean): void {
  usePrefs.setState({ inspectorOpen });
  save("inspector", inspectorOpen);
}

export function setFilter(filter: string): void {
  usePrefs.setState({ filter });
  save("filter", filter);
}

export function toggleLane(lane: Lane): void {
  const hiddenLanes = toggled(usePrefs.getState().hiddenLanes, lane);
  usePrefs.setState({ hiddenLanes });
  save("hidden_lanes", [...hiddenLanes]);
}

export function toggleGroup(group: string): void {
  const foldedGroups = toggled(usePrefs.getState().foldedGroups, group);
  usePrefs.setState({ foldedGroups });
  save("folded_groups", [...foldedGroups]);
}

/** A copy of the set with `value` added or, if it was there, taken out. */
export function toggled<T>(set: ReadonlySet<T>, value: T): ReadonlySet<T> {
  const next = new Set(set);
  if (!next.delete(value)) next.add(value);
  return next;
}
