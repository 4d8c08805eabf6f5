import { MOD } from "../bridge.ts";
import { closeOverlay } from "../store/overlays.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Kbd } from "../ui/kbd.tsx";

const KEYS: readonly { title: string; keys: readonly (readonly [string, string])[] }[] = [
  {
    title: "Anywhere",
    keys: [
      [`${MOD} K`, "Search and commands"],
      ["N", "New session"],
      ["/", "Filter sessions"],
      ["G then S", "To the sessions"],
      ["G then T", "To the timeline"],
      ["G then C", "To the connections"],
      ["G then H", "To the desk"],
      ["G then E", "To the settings"],
      ["Esc", "Back, or close"],
      ["?", "This page"],
    ],
  },
  {
    title: "In a session",
    keys: [
      ["J", "Next row"],
      ["K", "Previous row"],
      ["Enter", "Open or close the row"],
      ["←", "Fold a turn or a request"],
      ["→", "Unfold it"],
      ["M", "Write a message"],
      ["R", "Resume"],
      ["I", "Interrupt"],
    ],
  },
  {
    title: "When a call asks",
    keys: [
      ["A", "Allow once"],
      ["D", "Deny, with a reason"],
    ],
  },
];

export function Help({ open }: { open: boolean }) {
  return (
    <Dialog open={open} onClose={closeOverlay} title="Keys" testId="help">
      <div className="grid grid-cols-2 gap-x-8 gap-y-5 overflow-y-auto p-4 max-[700px]:grid-cols-1">
        {KEYS.map((group) => (
          <section key={group.title}>
            <h3 className="mb-1 text-meta font-medium text-ink-2">{group.title}</h3>
            <dl className="space-y-1">
              {group.keys.map(([key, meaning]) => (
                <div key={key} className="flex items-center gap-3">
                  <dt className="flex w-24 gap-1">
                    {key.split(" ").map((part) =>
                      part === "then" ? (
                        <span key={part} className="text-ink-3">
                          then
                        </span>
                      ) : (
                        <Kbd key={part}>{part}</Kbd>
                      ),
                    )}
                  </dt>
                  <dd className="text-ink-2">{meaning}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
