import { ChevronRight } from "lucide-react";
import { type ReactNode, useState } from "react";
import type { RequestContext } from "../../main/contract/local_api.ts";
import { getRequestContext } from "../api/local.ts";
import { bytes, plural } from "../format/numbers.ts";
import { CallInput } from "../parts/call_input.tsx";
import { Parts } from "../parts/output.tsx";
import type { Feed } from "../store/feed.ts";
import { firstLine, partsOf, plainText } from "../timeline/content.ts";
import type { Row } from "../timeline/row.ts";
import { Button } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { JsonView } from "./json_view.tsx";
import { useLoaded } from "./loaded.ts";
import { Facts, Nothing } from "./section.tsx";

/** The model request that a row belongs to. */
function requestOf(feed: Feed, row: Row | undefined): string | null {
  if (row === undefined) return feed.timeline.latest.request;
  if (row.kind === "request") return row.id;
  if (row.parent !== null) return row.parent;
  return row.kind === "notice" && row.about !== null && feed.timeline.rows.get(row.about)?.kind === "request"
    ? row.about
    : null;
}

/** Exactly what the model was sent. */
export function ContextTab({ feed, row }: { feed: Feed; row: Row | undefined }) {
  const span = requestOf(feed, row);
  const { value, problem, loading, reload } = useLoaded(span, () => getRequestContext(feed.id, span ?? ""));
  if (span === null)
    return <Nothing>Select a model request, or a call that it made, to see exactly what the model was sent.</Nothing>;
  if (problem !== null) {
    return (
      <div className="space-y-2 p-4">
        <ProblemNote problem={problem} />
        <Button onClick={reload}>Try again</Button>
      </div>
    );
  }
  if (value === null || loading) return <Nothing>Rebuilding the request from the events…</Nothing>;
  return <Context context={value} />;
}

function Context({ context }: { context: RequestContext }) {
  const [raw, setRaw] = useState(false);
  const { request } = context;
  const messages = Array.isArray(request.messages) ? request.messages : [];
  const tools = Array.isArray(request.tools) ? request.tools : [];
  return (
    <>
      <Facts
        facts={[
          ["Model", typeof request.model === "string" ? request.model : null],
          ["Size", `${bytes(context.bytes)}, ${plural(messages.length, "message")}, ${plural(tools.length, "tool")}`],
          [
            "SHA-256",
            <span key="sha" className="font-mono text-small">
              {context.sha256}
            </span>,
          ],
          [
            "Proof",
            context.matches ? (
              "rebuilt from the events, byte for byte what was sent"
            ) : (
              <span key="proof" className="text-bad">
                the rebuilt bytes differ from what was sent: this is close to it, not it
              </span>
            ),
          ],
        ]}
      />
      <div className="flex items-center gap-2 border-y border-line px-4 py-1.5">
        <Button look="ghost" aria-pressed={raw} onClick={() => setRaw(!raw)}>
          {raw ? "Show as parts" : "Show as JSON"}
        </Button>
        <span className="flex-1" />
        <CopyButton text={JSON.stringify(request, null, 2)} label="Copy the request" />
      </div>
      {raw ? (
        <div className="p-4">
          <JsonView value={request} />
        </div>
      ) : (
        <div className="py-1" data-testid="context">
          <Part title="System" note={firstLine(plainText(request.system ?? ""))}>
            <Parts parts={partsOf(request.system ?? "")} maxLines={200} />
          </Part>
          <Part title={plural(tools.length, "tool")} note={tools.map(nameOf).join(", ")}>
            <JsonView value={tools} />
          </Part>
          {messages.map((message, index) => (
            <Message key={String(index)} message={message} last={index === messages.length - 1} />
          ))}
        </div>
      )}
    </>
  );
}

function nameOf(tool: unknown): string {
  return typeof tool === "object" && tool !== null && "name" in tool ? String(tool.name) : "?";
}

function Message({ message, last }: { message: unknown; last: boolean }) {
  const { role, content } = message as { role?: unknown; content?: unknown };
  const blocks = Array.isArray(content) ? content : [{ type: "text", text: content }];
  return (
    <Part title={String(role ?? "?")} note={blocks.map(summaryOfBlock).join(" · ")} open={last}>
      <div className="space-y-2">
        {blocks.map((block, index) => (
          <BlockView key={String(index)} block={block as Record<string, unknown>} />
        ))}
      </div>
    </Part>
  );
}

function summaryOfBlock(block: unknown): string {
  const { type, name, text, content } = block as Record<string, unknown>;
  if (type === "tool_use") return `calls ${String(name)}`;
  if (type === "tool_result") return `result: ${firstLine(plainText(content))}`;
  return firstLine(plainText(text ?? [block]));
}

function BlockView({ block }: { block: Record<string, unknown> }) {
  const cached = block.cache_control !== undefined;
  return (
    <div>
      <p className="text-meta text-ink-3">
        {String(block.type)}
        {cached && <span className="ml-2 text-model">cache breakpoint</span>}
      </p>
      {block.type === "tool_use" ? (
        <CallInput name={String(block.name)} input={(block.input ?? {}) as Record<string, unknown>} maxLines={60} />
      ) : (
        <Parts parts={partsOf(block.type === "tool_result" ? (block.content ?? "") : [block])} maxLines={60} />
      )}
    </div>
  );
}

function Part({
  title,
  note,
  open = false,
  children,
}: {
  title: string;
  note: string;
  open?: boolean;
  children: ReactNode;
}) {
  const [shown, setShown] = useState(open);
  return (
    <div>
      <button
        type="button"
        aria-expanded={shown}
        onClick={() => setShown(!shown)}
        className="flex h-7 w-full items-center gap-2 px-3 text-left outline-offset-[-2px] hover:bg-hover"
      >
        <ChevronRight size={12} aria-hidden className={`shrink-0 text-ink-3 ${shown ? "rotate-90" : ""}`} />
        <span className="w-16 shrink-0 truncate">{title}</span>
        <span className="min-w-0 truncate text-small text-ink-3">{note}</span>
      </button>
      {shown && <div className="px-4 pt-1 pb-3 pl-8">{children}</div>}
    </div>
  );
}
