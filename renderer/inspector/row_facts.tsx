import type { ReactNode } from "react";
import { inputTokens, lengthOf, outcomeOf } from "../desk/rows/cells.ts";
import { Elapsed } from "../desk/rows/elapsed.tsx";
import { answerTexts, callEvents, MessageText } from "../desk/rows/row_body.tsx";
import { bytes, duration, percent, plural, tokens } from "../format/numbers.ts";
import { exactTime } from "../format/times.ts";
import { CallInput } from "../parts/call_input.tsx";
import { Markdown } from "../parts/markdown/view.tsx";
import { Output, Parts } from "../parts/output.tsx";
import type { Feed } from "../store/feed.ts";
import { go } from "../store/route.ts";
import { partsOf, plainText } from "../timeline/content.ts";
import type { NoticeRow, RequestRow, Row, ToolRow } from "../timeline/row.ts";
import { eventAt } from "../timeline/timeline.ts";
import { CopyButton } from "../ui/copy.tsx";
import { BranchFacts, CredentialFacts, EgressFacts, SandboxFacts } from "./sandbox_facts.tsx";
import { Facts, Section } from "./section.tsx";

const LINES = 400;

interface RowFactsProps {
  feed: Feed;
  row: Row;
  running: boolean;
}

export function RowFacts({ feed, row, running }: RowFactsProps) {
  const common: [string, ReactNode][] = [
    ["When", exactTime(row.at)],
    ["Took", lengthOf(row) === null ? null : <Elapsed key="took" length={lengthOf(row)} running={running} />],
  ];
  switch (row.kind) {
    case "message": {
      const event = eventAt(feed.timeline, row.seq)?.event;
      const queued = row.state === "queued" ? "waiting; the agent reads it at its next step" : null;
      return (
        <>
          <Facts facts={[...common, ["State", queued]]} />
          <Section title={row.by === "user" ? "What you wrote" : "System message"}>
            <MessageText content={event !== undefined && "content" in event ? event.content : null} />
          </Section>
        </>
      );
    }
    case "request":
      return <RequestFacts feed={feed} row={row} common={common} />;
    case "tool":
      return <ToolFacts feed={feed} row={row} running={running} common={common} />;
    case "sandbox":
      return <SandboxFacts feed={feed} row={row} common={common} running={running} />;
    case "notice":
      return <NoticeFacts feed={feed} row={row} common={common} />;
  }
}

type Common = readonly (readonly [string, ReactNode])[];

function RequestFacts({ feed, row, common }: { feed: Feed; row: RequestRow; common: Common }) {
  const all = inputTokens(row.usage);
  const { usage } = row;
  const answers = answerTexts(feed.timeline, row);
  const thinking = thinkingOf(feed, row);
  return (
    <>
      <Facts
        facts={[
          ...common,
          ["First token", row.firstTokenMs === null ? null : `after ${duration(row.firstTokenMs)}`],
          ["Model", row.demo ? `${row.model} (offline demo)` : row.model],
          ["State", row.state === "done" ? null : row.state.replace("_", " ")],
          ["Stopped by", row.stopReason],
          [
            "Input",
            usage === null
              ? null
              : `${tokens(all)} tokens, ${percent(usage.cache_read_input_tokens, all)} from the cache`,
          ],
          ["Written to cache", usage === null ? null : tokens(usage.cache_creation_input_tokens)],
          ["Output", usage === null ? null : `${tokens(usage.output_tokens)} tokens`],
          ["Request", row.bytes === null ? null : `${row.messageCount} messages, ${bytes(row.bytes)}`],
        ]}
      />
      {thinking !== "" && (
        <Section title="Thinking">
          <div className="text-ink-2">
            <Output text={thinking} maxLines={60} />
          </div>
        </Section>
      )}
      {answers.map((answer) => (
        <Section key={answer.id} title="Answer" aside={<CopyButton text={answer.text} />}>
          <Markdown text={answer.text} />
        </Section>
      ))}
      {row.state === "open" && feed.live.previews.some(({ thread }) => thread === row.thread) && (
        <Section title="Answer, as it comes">
          <Markdown
            text={feed.live.previews.flatMap(({ thread, text }) => (thread === row.thread ? [text] : [])).join("\n\n")}
          />
        </Section>
      )}
      <RelatedRows feed={feed} title="Calls" ids={feed.timeline.children.get(row.id) ?? []} />
    </>
  );
}

/** Thinking is kept with the response, for the next request; the event of the contract has none. */
function thinkingOf(feed: Feed, row: RequestRow): string {
  for (const seq of row.seqs) {
    const event = eventAt(feed.timeline, seq)?.event;
    if (event?.type !== "longhaul.model_response" || !Array.isArray(event.content)) continue;
    return plainText(event.content.filter((block) => block.type === "thinking"));
  }
  return "";
}

function ToolFacts({ feed, row, running, common }: { feed: Feed; row: ToolRow; running: boolean; common: Common }) {
  const { input, result } = callEvents(feed.timeline, row);
  const live = feed.live.outputs.get(row.id);
  const { confirmation } = row;
  const outcome = outcomeOf({ ...row, web: null }, running).map((cell) => cell.text);
  return (
    <>
      <Facts
        facts={[
          ...common,
          ["Waited", confirmation === null ? null : `${duration(confirmation.at - row.at)} for your answer`],
          [
            "Answer",
            confirmation === null ? null : confirmation.result === "allow" ? "you allowed it" : "you denied it",
          ],
          ["Reason", confirmation?.message ?? null],
          ["Outcome", outcome.length > 0 ? outcome.join(", ") : row.state === "ok" ? "done" : null],
          ["Asked the web", row.web === null ? null : webText(row.web)],
          ["Dispatched", row.attempts > 1 ? dispatches(row) : null],
        ]}
      />
      {row.state === "unknown" && (
        <p className="mx-4 mb-3 rounded border border-bad/40 bg-bad-soft px-3 py-2">
          The call had started when it was cut off, and nobody saw how it ended. It may or may not have taken effect.
          The agent was told to inspect the state before it repeats anything.
        </p>
      )}
      <Section
        title="Input"
        aside={<CopyButton text={typeof input.command === "string" ? input.command : JSON.stringify(input, null, 2)} />}
      >
        <CallInput name={row.name} input={input} maxLines={LINES} />
      </Section>
      {live !== undefined && (
        <Section title="Output, as it comes">
          <Output text={live} maxLines={LINES} keep="tail" />
        </Section>
      )}
      {result !== null && (
        <Section title="Result" aside={<CopyButton text={plainText(result)} />}>
          <Parts parts={partsOf(result)} maxLines={LINES} />
        </Section>
      )}
    </>
  );
}

/** What a web tool used: its requests to the endpoint are no part of the conversation. */
function webText({ usage, searches, fetches }: NonNullable<ToolRow["web"]>): string {
  const asked = [
    searches > 0 ? plural(searches, "search", "searches") : "",
    fetches > 0 ? plural(fetches, "page") : "",
  ].filter((part) => part !== "");
  const used = `${tokens(inputTokens(usage))} tokens in, ${tokens(usage.output_tokens)} out, beside the conversation`;
  return [...asked, used].join("; ");
}

function dispatches(row: ToolRow): string {
  const once = row.settled === "collected" || row.settled === "reattached";
  return `${row.attempts} times${once ? "; the sandbox ran it once" : ""}`;
}

function NoticeFacts({ feed, row, common }: { feed: Feed; row: NoticeRow; common: Common }) {
  const event = eventAt(feed.timeline, row.seq)?.event;
  const calls = event?.type === "longhaul.cut_off" ? event.calls_in_flight : [];
  const summary = event?.type === "longhaul.compaction" ? event.summary : null;
  return (
    <>
      <Section title="What happened">
        <p className="[overflow-wrap:anywhere]">{row.what}</p>
        {row.detail !== "" && <p className="text-ink-2 [overflow-wrap:anywhere]">{row.detail}</p>}
      </Section>
      <Facts facts={common} />
      {event?.type === "longhaul.egress" && <EgressFacts feed={feed} row={row} event={event} />}
      {event?.type === "longhaul.credential_used" && <CredentialFacts feed={feed} row={row} event={event} />}
      {event?.type === "longhaul.changes_brought_back" && <BranchFacts event={event} />}
      {summary !== null && (
        <Section title="Summary that the model now sees">
          <Markdown text={plainText(summary)} />
        </Section>
      )}
      <RelatedRows
        feed={feed}
        title={calls.length > 0 ? "In flight, and what became of it" : "About"}
        ids={calls.length > 0 ? calls : row.about === null ? [] : [row.about]}
      />
    </>
  );
}

/** Rows that belong to this one, as links. */
function RelatedRows({ feed, title, ids }: { feed: Feed; title: string; ids: readonly string[] }) {
  const rows = ids.flatMap((id) => feed.timeline.rows.get(id) ?? []);
  if (rows.length === 0) return null;
  return (
    <Section title={title}>
      <ul className="space-y-0.5">
        {rows.map((row) => (
          <li key={row.id}>
            <button
              type="button"
              onClick={() => go({ screen: "session", id: feed.id, event: row.id }, true)}
              className="flex w-full items-baseline gap-2 rounded-sm px-1 py-0.5 text-left hover:bg-hover"
            >
              <span className="min-w-0 flex-1 truncate font-mono text-small">{row.what || row.kind}</span>
              <span className="shrink-0 text-small text-ink-3">
                {"state" in row ? row.state.replace("_", " ") : ""}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Section>
  );
}
