import { activeMs, inputTokens } from "../desk/rows/cells.ts";
import { duration, percent, plural, tokens } from "../format/numbers.ts";
import { exactTime } from "../format/times.ts";
import type { Feed } from "../store/feed.ts";
import type { ToolRow, Turn } from "../timeline/row.ts";
import { Facts, Section } from "./section.tsx";

export function TurnFacts({ feed, turn }: { feed: Feed; turn: Turn }) {
  const all = inputTokens(turn.usage);
  return (
    <>
      <Facts
        facts={[
          ["Began", exactTime(turn.at)],
          ["Ended", turn.end === null ? "not yet" : exactTime(turn.end)],
          ["Ran", duration(activeMs(turn, turn.runningSince ?? 0))],
          ["Model", plural(turn.requests, "request")],
          [
            "Input",
            `${tokens(all)} tokens, ${percent(turn.usage.cache_read_input_tokens, all) ?? "0 %"} from the cache`,
          ],
          ["Output", `${tokens(turn.usage.output_tokens)} tokens`],
        ]}
      />
      <ToolTable feed={feed} turn={turn} />
    </>
  );
}

/** Per tool: how often, how many failed, the middle and the longest time. */
export function ToolTable({ feed, turn }: { feed: Feed; turn: Turn | null }) {
  const byName = new Map<string, ToolRow[]>();
  const index = turn === null ? -1 : feed.timeline.turns.findIndex((candidate) => candidate.id === turn.id);
  for (const row of feed.timeline.rows.values()) {
    if (row.kind !== "tool" || (turn !== null && row.turn !== index)) continue;
    byName.set(row.name, [...(byName.get(row.name) ?? []), row]);
  }
  if (byName.size === 0) return null;
  return (
    <Section title="Tools">
      <table className="num w-full text-small">
        <thead className="text-left text-ink-3">
          <tr>
            {["Tool", "Calls", "Failed", "Median", "Longest"].map((head, column) => (
              <th key={head} scope="col" className={`py-0.5 font-normal ${column > 0 ? "pl-3 text-right" : ""}`}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {[...byName].map(([name, rows]) => {
            const times = rows
              .flatMap((row) => (row.startedAt === null || row.end === null ? [] : [row.end - row.startedAt]))
              .sort((a, b) => a - b);
            const failed = rows.filter((row) => row.state === "failed").length;
            return (
              <tr key={name}>
                <td className="w-full max-w-0 truncate py-0.5 pr-2 text-tools" title={name}>
                  {name}
                </td>
                <td className="pl-3 text-right whitespace-nowrap">{rows.length}</td>
                <td className={`pl-3 text-right ${failed > 0 ? "text-bad" : "text-ink-3"}`}>{failed}</td>
                <td className="pl-3 text-right whitespace-nowrap">
                  {times.length === 0 ? "–" : duration(times[times.length >> 1] ?? 0)}
                </td>
                <td className="pl-3 text-right whitespace-nowrap">
                  {times.length === 0 ? "–" : duration(times.at(-1) ?? 0)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Section>
  );
}
