import { Tooltip } from "@base-ui/react/tooltip";
import { Menu as MenuIcon } from "lucide-react";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import { accessToken, setAccessToken, watchAccess } from "./api/access.ts";
import { signIn } from "./api/local.ts";
import { type Problem, problemOf } from "./api/problem.ts";
import { ConnectionsScreen } from "./connections/connections_screen.tsx";
import { SessionScreen } from "./desk/session_screen.tsx";
import { Help } from "./palette/help.tsx";
import { startKeys } from "./palette/keys.ts";
import { Palette } from "./palette/palette.tsx";
import { ConnectionBar } from "./screens/connection_bar.tsx";
import { Home } from "./screens/home.tsx";
import { NewSession } from "./screens/new_session.tsx";
import { ResumeSheet } from "./screens/resume_sheet.tsx";
import { SettingsScreen } from "./screens/settings/settings_screen.tsx";
import { SignedOut } from "./screens/signed_out.tsx";
import { SessionList } from "./sessions/session_list.tsx";
import { useAnnouncement } from "./store/announce.ts";
import { startEngine, useEngine } from "./store/engine.ts";
import { groupOf, needsResume, titleOf } from "./store/groups.ts";
import { isString, load, save } from "./store/kept/saved.ts";
import { closeOverlay, openOverlay, useOverlay } from "./store/overlays.ts";
import { go, signInCode, useRoute } from "./store/route.ts";
import { IconButton } from "./ui/button.tsx";
import { Dialog } from "./ui/dialog.tsx";
import { useMedia } from "./ui/media.ts";

/** Codes work once: a second exchange of the same one, as React's strict mode would make, must not happen. */
let exchanged: string | null = null;

export function App() {
  const token = useSyncExternalStore(watchAccess, accessToken);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [signingIn, setSigningIn] = useState(() => signInCode(location.hash) !== null);
  const enter = (code: string): void => {
    setSigningIn(true);
    setProblem(null);
    signIn(code)
      .then(
        (next) => {
          setAccessToken(next);
          go({ screen: "home" }, true);
        },
        (error: unknown) => setProblem(problemOf(error)),
      )
      .finally(() => setSigningIn(false));
  };
  const newest = useRef(enter);
  newest.current = enter;
  useEffect(() => {
    const code = signInCode(location.hash);
    if (code === null || code === exchanged) return;
    exchanged = code;
    newest.current(code);
  }, []);
  if (signingIn) return <p className="p-8 text-ink-2">Signing in…</p>;
  if (token === null) return <SignedOut problem={problem} onCode={enter} />;
  return (
    <Tooltip.Provider delay={350}>
      <Desk key={token} />
    </Tooltip.Provider>
  );
}

function Desk() {
  const route = useRoute((state) => state.route);
  const overlay = useOverlay((state) => state.overlay);
  const wide = useMedia("(min-width: 900px)");
  const announcement = useAnnouncement((state) => state.text);
  useEffect(() => startEngine(), []);
  useEffect(() => startKeys(), []);
  // Choosing a session in the drawer closes it.
  useEffect(() => useRoute.subscribe(() => useOverlay.getState().overlay === "list" && closeOverlay()), []);
  useCutOffOffer();
  usePageTitle();
  return (
    <div className="flex h-full flex-col">
      <ConnectionBar />
      <div className="flex min-h-0 flex-1">
        {wide ? (
          <div className="flex w-[264px] shrink-0 flex-col border-r border-line bg-panel">
            <SessionList />
          </div>
        ) : (
          <>
            <IconButton
              label="Sessions"
              onClick={() => openOverlay("list")}
              className="fixed top-2.5 left-2.5 z-10"
              data-testid="open-list"
            >
              <MenuIcon size={16} aria-hidden />
            </IconButton>
            <Dialog open={overlay === "list"} onClose={closeOverlay} title="Sessions" showTitle={false} place="left">
              <SessionList />
            </Dialog>
          </>
        )}
        {route.screen === "home" && <Home />}
        {route.screen === "new" && <NewSession />}
        {route.screen === "settings" && <SettingsScreen />}
        {route.screen === "connections" && <ConnectionsScreen server={route.server} vault={route.vault} />}
        {route.screen === "session" && <SessionScreen key={route.id} id={route.id} event={route.event} />}
      </div>
      <Palette open={overlay === "palette"} />
      <Help open={overlay === "help"} />
      <ResumeSheet open={overlay === "resume"} />
      <p aria-live="polite" className="sr-only" data-testid="announcement">
        {announcement}
      </p>
    </div>
  );
}

/** A session that was only just created is taken up within moments: that is no cut. */
const OFFER_AFTER_MS = 1500;

/**
 * Offers the resume sheet when the desk opens or the engine comes back, once for each new set of sessions that were cut
 * off, and never to somebody who is already doing something: the list says it too.
 */
function useCutOffOffer(): void {
  const connected = useEngine((state) => (state.listed && state.connection === "open" ? state.since : null));
  useEffect(() => {
    if (connected === null) return;
    const timer = setTimeout(offer, OFFER_AFTER_MS);
    const leave = (): void => clearTimeout(timer);
    addEventListener("pointerdown", leave);
    addEventListener("keydown", leave);
    return () => {
      leave();
      removeEventListener("pointerdown", leave);
      removeEventListener("keydown", leave);
    };
  }, [connected]);
}

function offer(): void {
  const cut = [...useEngine.getState().sessions.values()].filter(
    (summary) => needsResume(summary) && summary.work === "now",
  );
  const key = cut
    .map((summary) => `${summary.id}@${summary.fold.last_seq}`)
    .sort()
    .join(" ");
  if (key === "" || load("offered", "", isString) === key) return;
  if (useOverlay.getState().overlay !== null || useRoute.getState().route.screen === "new") return;
  save("offered", key);
  openOverlay("resume");
}

function usePageTitle(): void {
  const route = useRoute((state) => state.route);
  const sessions = useEngine((state) => state.sessions);
  useEffect(() => {
    const needy = [...sessions.values()].filter((summary) => groupOf(summary) === "needs_you").length;
    const open = route.screen === "session" ? sessions.get(route.id) : undefined;
    const title = open === undefined ? (route.screen === "connections" ? "Connections" : null) : titleOf(open);
    const name = title === null ? "Longhaul" : `${title} · Longhaul`;
    document.title = needy > 0 ? `(${needy}) ${name}` : name;
  }, [route, sessions]);
}
