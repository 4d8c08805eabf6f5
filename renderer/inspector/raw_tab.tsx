import type { Feed } from "../store/feed.ts";
import type { Row } from "../timeline/row.ts";
import { eventAt } from "../timeline/timeline.ts";
import { CopyButton } from "../ui/copy.tsx";
import { JsonView } from "./json_view.tsx";
import { Nothing, Section } from "./section.tsx";

/** Events shown when no row is selected. */
const LAST = 20;

/** The stored events behind a row, as they are in the ledger. */
export function RawTab({ feed, row }: { feed: Feed; row: Row | undefined }) {
  const { timeline } = feed;
  const events =
    row === undefined
      ? timeline.events.slice(-LAST).reverse()
      : row.seqs.flatMap((seq) => eventAt(timeline, seq) ?? []);
  if (events.length === 0) return <Nothing>No event is stored yet.</Nothing>;
  return (
    <>
      {row === undefined && (
        <p className="px-4 pt-3 text-ink-2">
          The last {events.length} events, newest first. Select a row to see its own.
        </p>
      )}
      {events.map((stored) => (
        <Section
          key={stored.seq}
          title={`${stored.seq} · ${stored.event.type}`}
          aside={<CopyButton text={JSON.stringify(stored, null, 2)} />}
        >
          <JsonView value={stored} />
        </Section>
      ))}
    </>
  );
}
