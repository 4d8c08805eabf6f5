import { Command } from "cmdk";
import { type ReactNode, useState } from "react";
import { interrupt, resume } from "../store/actions.ts";
import { useEngine } from "../store/engine.ts";
import { canResume, groupOf, needsResume, titleOf } from "../store/groups.ts";
import { setTab, setTheme } from "../store/kept/prefs.ts";
import { closeOverlay, openOverlay } from "../store/overlays.ts";
import { CONNECTIONS, go, useRoute } from "../store/route.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Glyph } from "../ui/glyph.tsx";
import { Kbd } from "../ui/kbd.tsx";

/** Everything by name: sessions, commands, settings. */
export function Palette({ open }: { open: boolean }) {
  return (
    <Dialog open={open} onClose={closeOverlay} title="Search and commands" showTitle={false} testId="palette">
      <PaletteBody />
    </Dialog>
  );
}

const MAX_SESSIONS = 60;

function PaletteBody() {
  const [text, setText] = useState("");
  const sessions = useEngine((state) => state.sessions);
  const live = useEngine((state) => state.connection === "open");
  const route = useRoute((state) => state.route);
  const current = route.screen === "session" ? sessions.get(route.id) : undefined;
  const all = [...sessions.values()].sort((a, b) => b.fold.updated_at.localeCompare(a.fold.updated_at));
  const run = (action: () => void) => (): void => {
    closeOverlay();
    action();
  };
  return (
    <Command label="Search and commands" loop className="flex min-h-0 flex-1 flex-col">
      <Command.Input
        autoFocus
        value={text}
        onValueChange={setText}
        placeholder="Go to a session, or do something"
        className="h-12 shrink-0 border-b border-line bg-transparent px-4 text-lead outline-none"
      />
      <Command.List className="min-h-0 flex-1 overflow-y-auto p-2 [&_[cmdk-group-heading]]:px-2 [&_[cmdk-group-heading]]:py-1 [&_[cmdk-group-heading]]:text-meta [&_[cmdk-group-heading]]:text-ink-3">
        <Command.Empty className="px-2 py-6 text-ink-2">
          Nothing is called that. The filter of the session list searches inside sessions too.
        </Command.Empty>
        {current !== undefined && (
          <Command.Group heading="This session">
            {canResume(current) && (
              <Item hint="R" onSelect={run(() => void resume(current.id))}>
                Resume
              </Item>
            )}
            {current.activity === "running" && (
              <Item hint="I" onSelect={run(() => void interrupt(current.id))}>
                Interrupt
              </Item>
            )}
            <Item onSelect={run(() => setTab("context"))}>Show the context the model was sent</Item>
            <Item onSelect={run(() => setTab("files"))}>Show changes and outputs</Item>
            <Item onSelect={run(() => setTab("raw"))}>Show raw events</Item>
          </Command.Group>
        )}
        <Command.Group heading="Commands">
          <Item hint="N" onSelect={run(() => go({ screen: "new" }))}>
            New session
          </Item>
          {all.some(needsResume) && <Item onSelect={() => openOverlay("resume")}>Resume what was cut off…</Item>}
          <Item hint="G E" onSelect={run(() => go({ screen: "settings" }))}>
            Settings: model endpoint and its key
          </Item>
          <Item hint="G C" onSelect={run(() => go(CONNECTIONS))}>
            Connections: MCP servers and secrets
          </Item>
          <Item onSelect={run(() => go({ screen: "home" }))}>Checks of this machine, and the offline demo</Item>
          <Item hint="?" onSelect={() => openOverlay("help")}>
            Keys
          </Item>
          <Item onSelect={run(() => setTheme("light"))}>Light theme</Item>
          <Item onSelect={run(() => setTheme("dark"))}>Dark theme</Item>
          <Item onSelect={run(() => setTheme("system"))}>Theme of the system</Item>
        </Command.Group>
        {all.length > 0 && (
          <Command.Group heading="Sessions">
            {all.slice(0, text === "" ? MAX_SESSIONS : 1000).map((summary) => (
              <Item
                key={summary.id}
                value={`${titleOf(summary)} ${summary.id}`}
                icon={<Glyph group={groupOf(summary)} live={live} />}
                onSelect={run(() => go({ screen: "session", id: summary.id, event: null }))}
              >
                {titleOf(summary)}
              </Item>
            ))}
          </Command.Group>
        )}
      </Command.List>
    </Command>
  );
}

interface ItemProps {
  value?: string;
  icon?: ReactNode;
  hint?: string;
  onSelect: () => void;
  children: ReactNode;
}

function Item({ value, icon, hint, onSelect, children }: ItemProps) {
  return (
    <Command.Item
      {...(value === undefined ? {} : { value })}
      onSelect={onSelect}
      className="flex h-8 items-center gap-2 rounded px-2 data-[selected=true]:bg-selected"
    >
      {icon}
      <span className="min-w-0 flex-1 truncate">{children}</span>
      {hint !== undefined && <Kbd>{hint}</Kbd>}
    </Command.Item>
  );
}
