/** What an opened row shows below its line. Bounded: the inspector has the whole. */
import type { ReactNode } from "react";
import { SignInAdvice } from "../../connections/sign_in_advice.tsx";
import { CallInput } from "../../parts/call_input.tsx";
import { Markdown } from "../../parts/markdown/view.tsx";
import { Output, Parts } from "../../parts/output.tsx";
import type { Feed } from "../../store/feed.ts";
import { partsOf, plainText } from "../../timeline/content.ts";
import type { NoticeRow, RequestRow, Row, ToolRow } from "../../timeline/row.ts";
import { eventAt, type Timeline } from "../../timeline/timeline.ts";
import { EgressAdvice } from "../sandbox/egress_advice.tsx";
import { SandboxBody } from "./sandbox_body.tsx";

const LINES = 14;

/** Answers of a request, as stored. */
export function answerTexts(timeline: Timeline, row: RequestRow): { id: string; text: string }[] {
  return row.seqs.flatMap((seq) => {
    const event = eventAt(timeline, seq)?.event;
    return event?.type === "agent.message" ? [{ id: event.id, text: plainText(event.content) }] : [];
  });
}

/** The input and the result of a call, as stored. */
export function callEvents(timeline: Timeline, row: ToolRow): { input: Record<string, unknown>; result: unknown } {
  let input: Record<string, unknown> = {};
  let result: unknown = null;
  for (const seq of row.seqs) {
    const event = eventAt(timeline, seq)?.event;
    if (event === undefined) continue;
    if ("input" in event) input = event.input;
    else if (result === null && event.type.endsWith("tool_result")) result = "content" in event ? event.content : null;
  }
  return { input, result };
}

export function RowBody({ row, feed }: { row: Row; feed: Feed }): ReactNode {
  switch (row.kind) {
    case "message": {
      const event = eventAt(feed.timeline, row.seq)?.event;
      const content = event !== undefined && "content" in event ? event.content : null;
      return (
        <Indented>
          <MessageText content={content} />
        </Indented>
      );
    }
    case "request":
      return <RequestBody row={row} feed={feed} />;
    case "tool":
      return <ToolBody row={row} feed={feed} />;
    case "sandbox":
      return (
        <Indented>
          <SandboxBody row={row} progress={feed.live.sandboxProgress} />
        </Indented>
      );
    case "notice":
      return (
        <Indented>
          <NoticeBody row={row} feed={feed} />
        </Indented>
      );
  }
}

function NoticeBody({ row, feed }: { row: NoticeRow; feed: Feed }) {
  const event = eventAt(feed.timeline, row.seq)?.event;
  return (
    <>
      <p className="[overflow-wrap:anywhere]">{row.what}</p>
      {row.detail !== "" && <p className="text-ink-2 [overflow-wrap:anywhere]">{row.detail}</p>}
      {event?.type === "longhaul.egress" && event.decision === "denied" && (
        <EgressAdvice environment={feed.timeline.fold?.environment ?? null} host={event.host} />
      )}
      {event?.type === "session.error" && event.error.type === "mcp_authentication_failed_error" && (
        <SignInAdvice fold={feed.timeline.fold} name={event.error.mcp_server_name} />
      )}
    </>
  );
}

/** Lines the body up with the column that says what the row is about. */
function Indented({ children }: { children: ReactNode }) {
  return <div className="space-y-2 pt-0.5 pr-8 pb-3 pl-[90px] @min-[760px]:pl-[262px]">{children}</div>;
}

/** What a person wrote stays as they wrote it. */
export function MessageText({ content }: { content: unknown }) {
  return (
    <div className="space-y-2">
      {partsOf(content).map((part, index) => {
        const key = String(index);
        if (part.kind !== "text") return <Parts key={key} parts={[part]} maxLines={40} />;
        return (
          <p key={key} className="whitespace-pre-wrap [overflow-wrap:anywhere]">
            {part.text}
          </p>
        );
      })}
    </div>
  );
}

function RequestBody({ row, feed }: { row: RequestRow; feed: Feed }) {
  const answers = answerTexts(feed.timeline, row);
  const previews = row.state === "open" ? feed.live.previews.filter(({ thread }) => thread === row.thread) : [];
  if (answers.length === 0 && previews.length === 0) {
    return row.calls.length === 0 ? null : (
      <Indented>
        <p className="text-ink-3">No text with these calls.</p>
      </Indented>
    );
  }
  return (
    <Indented>
      {answers.map((answer) => (
        <Markdown key={answer.id} text={answer.text} />
      ))}
      {previews.map((preview) =>
        preview.kind === "thinking" ? (
          <p key={preview.id} className="text-ink-3 italic">
            thinking…
          </p>
        ) : (
          <div key={preview.id} data-testid="preview">
            <Markdown text={preview.text} />
          </div>
        ),
      )}
    </Indented>
  );
}

function ToolBody({ row, feed }: { row: ToolRow; feed: Feed }) {
  const { input, result } = callEvents(feed.timeline, row);
  const live = feed.live.outputs.get(row.id);
  return (
    <Indented>
      {!isToldByLine(row, input) && <CallInput name={row.name} input={input} maxLines={LINES} />}
      {live !== undefined && (
        <div className="border-l-2 border-tools/60 pl-3" data-testid="live-output">
          <Output text={live} maxLines={LINES} keep="tail" />
        </div>
      )}
      {result !== null && (
        <div
          className={`border-l-2 pl-3 ${row.state === "failed" || row.state === "unknown" ? "border-bad/70" : "border-line-strong"}`}
        >
          <Parts parts={partsOf(result)} maxLines={LINES} keep={row.state === "failed" ? "tail" : "head"} />
        </div>
      )}
    </Indented>
  );
}

/** A short command stands in the row's own line in full. */
function isToldByLine(row: ToolRow, input: Record<string, unknown>): boolean {
  const { command } = input;
  const alone = typeof command === "string" && Object.keys(input).length === 1;
  return row.name === "bash" && alone && command === row.what && command.length <= 60;
}
