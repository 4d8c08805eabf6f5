/** Every key of the desk, in one place. Keys act only when no text is being typed and nothing lies over the desk. */
import { answerApproval } from "../desk/approval_keys.ts";
import { foldSelected, moveSelection, toggleSelected } from "../desk/rows/list_keys.ts";
import { interrupt, resume } from "../store/actions.ts";
import { useEngine } from "../store/engine.ts";
import { feedOf } from "../store/feed.ts";
import { canResume } from "../store/groups.ts";
import { closeOverlay, openOverlay, useOverlay } from "../store/overlays.ts";
import { CONNECTIONS, go, useRoute } from "../store/route.ts";

const REPEATABLE = new Set(["j", "k", "ArrowDown", "ArrowUp"]);

const SECOND_KEY_MS = 1200;

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

function session(): { id: string; event: string | null } | null {
  const { route } = useRoute.getState();
  return route.screen === "session" ? route : null;
}

function focus(selector: string): boolean {
  const element = document.querySelector<HTMLElement>(selector);
  element?.focus();
  return element !== null;
}

/** Moves the focus to the selected line when the list has it, so that the next Tab goes on from there. */
function followSelection(): void {
  const open = session();
  if (open?.event && document.activeElement?.closest("[data-testid=timeline]")) {
    requestAnimationFrame(() => focus(`#line-${CSS.escape(open.event ?? "")}`));
  }
}

/** Returns false when the key meant nothing here; it then keeps its usual meaning. */
type Action = () => unknown;

const ALONE: Record<string, Action> = {
  n: () => go({ screen: "new" }),
  "/": () => {
    if (document.querySelector("[data-testid=filter]") === null) openOverlay("list");
    dispatchEvent(new Event("longhaul:filter"));
  },
  "?": () => openOverlay("help"),
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  ArrowLeft: () => session() !== null && foldSelected(session()?.event ?? null, true),
  ArrowRight: () => session() !== null && foldSelected(session()?.event ?? null, false),
  Enter: open,
  Escape: back,
  m: () => focus("[data-testid=composer]"),
  a: () => answerApproval("allow"),
  d: () => answerApproval("deny"),
  r: () => {
    const id = session()?.id;
    const summary = id === undefined ? undefined : useEngine.getState().sessions.get(id);
    if (summary !== undefined && canResume(summary)) void resume(summary.id);
  },
  i: () => {
    const id = session()?.id;
    if (id !== undefined && feedOf(id).activity === "running") void interrupt(id);
  },
};

const AFTER_G: Record<string, Action> = {
  s: () => focus("[data-testid=session-list] [aria-current=page], [data-testid=session-item]"),
  t: () => focus("[data-testid=timeline]"),
  h: () => go({ screen: "home" }),
  e: () => go({ screen: "settings" }),
  c: () => go(CONNECTIONS),
};

function move(step: number): boolean {
  const open = session();
  if (open === null) return false;
  moveSelection(open.event, step);
  followSelection();
  return true;
}

function open(): boolean {
  const selected = session()?.event ?? null;
  const active = document.activeElement;
  // A focused control has its own meaning for Enter; a line of the list means "open".
  const onControl =
    active instanceof HTMLElement && active.matches("button, a, [role=tab]") && !active.id.startsWith("line-");
  if (selected === null || onControl) return false;
  toggleSelected(selected);
  return true;
}

function back(): boolean {
  const open = session();
  if (open?.event) {
    go({ screen: "session", id: open.id, event: null }, true);
    return true;
  }
  if (/^(new|settings|connections)$/.test(useRoute.getState().route.screen)) go({ screen: "home" });
  return false;
}

/** Listens to keys until the returned function is called. */
export function startKeys(): () => void {
  let gAt = Number.NEGATIVE_INFINITY;
  const onKey = (event: KeyboardEvent): void => {
    if (event.defaultPrevented || event.isComposing) return;
    // A key that is held down moves in lists; it must not approve one call after the other.
    if (event.repeat && !REPEATABLE.has(event.key)) return;
    if ((event.metaKey || event.ctrlKey) && !event.altKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      if (useOverlay.getState().overlay === "palette") closeOverlay();
      else openOverlay("palette");
      return;
    }
    if (event.metaKey || event.ctrlKey || event.altKey || useOverlay.getState().overlay !== null) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
      return;
    }
    if (document.querySelector("[role=dialog], [role=menu]") !== null) return;
    const now = performance.now();
    if (event.key === "g") {
      gAt = now;
      return;
    }
    const action = now - gAt < SECOND_KEY_MS ? AFTER_G[event.key] : ALONE[event.key];
    gAt = Number.NEGATIVE_INFINITY;
    if (action !== undefined && action() !== false) event.preventDefault();
  };
  addEventListener("keydown", onKey);
  return () => {
    removeEventListener("keydown", onKey);
  };
}
