/** Draws parsed Markdown as React elements: text stays text, so nothing in it can become markup. */
import { memo, type ReactNode, useMemo } from "react";
import { CopyButton } from "../../ui/copy.tsx";
import { Scroll } from "../../ui/scroll.tsx";
import { type Block, parseMarkdown } from "./blocks.ts";
import type { Inline } from "./inline.ts";

/** Characters drawn at once; more is shown on demand, since layout of a huge text stops everything else. */
const MAX_CHARS = 60_000;

export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const blocks = useMemo(() => parseMarkdown(text.slice(0, MAX_CHARS)), [text]);
  return (
    <div className="space-y-2 break-words text-ink">
      {blocks.map(renderBlock)}
      {text.length > MAX_CHARS && <p className="text-meta text-ink-3">The rest of this text is under Raw JSON.</p>}
    </div>
  );
});

const HEADINGS = ["text-title font-semibold", "text-lead font-semibold", "font-semibold"];

function renderBlock(block: Block, key: number): ReactNode {
  switch (block.kind) {
    case "paragraph":
      return <p key={key}>{block.inline.map(renderInline)}</p>;
    case "heading":
      // Not a heading of this page: a screen reader's outline must not be written by a model.
      return (
        <p key={key} className={`pt-1 ${HEADINGS[block.level - 1] ?? "font-semibold"}`}>
          {block.inline.map(renderInline)}
        </p>
      );
    case "code":
      return <Code key={key} language={block.language} text={block.text} />;
    case "list":
      return renderList(block, key);
    case "quote":
      return (
        <blockquote key={key} className="space-y-2 border-l-2 border-line-strong pl-3 text-ink-2">
          {block.blocks.map(renderBlock)}
        </blockquote>
      );
    case "table":
      return renderTable(block, key);
    case "rule":
      return <hr key={key} className="border-line" />;
  }
}

function renderList(list: Extract<Block, { kind: "list" }>, key: number): ReactNode {
  const items = list.items.map((item, index) => (
    <li key={String(index)} className="space-y-1 pl-1 marker:text-ink-3">
      {item.checked !== null && <span className="mr-1.5 text-ink-2">{item.checked ? "☑" : "☐"}</span>}
      {item.blocks.map((block, at) =>
        block.kind === "paragraph" ? (
          <span key={String(at)} className="block">
            {block.inline.map(renderInline)}
          </span>
        ) : (
          renderBlock(block, at)
        ),
      )}
    </li>
  ));
  if (list.ordered) {
    return (
      <ol key={key} start={list.start} className="list-decimal space-y-1 pl-6">
        {items}
      </ol>
    );
  }
  return (
    <ul key={key} className="list-disc space-y-1 pl-5">
      {items}
    </ul>
  );
}

function renderTable(table: Extract<Block, { kind: "table" }>, key: number): ReactNode {
  return (
    <Scroll key={key} label="table">
      <table className="border-collapse text-left">
        <thead>
          <tr>
            {table.head.map((cell, index) => (
              <th key={String(index)} scope="col" className="border-b border-line-strong px-2 py-1 font-medium">
                {cell.map(renderInline)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, index) => (
            <tr key={String(index)}>
              {row.map((cell, column) => (
                <td key={String(column)} className="border-b border-line px-2 py-1 align-top">
                  {cell.map(renderInline)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Code({ language, text }: { language: string; text: string }) {
  return (
    <div className="group relative">
      <Scroll
        label={language === "" ? "code" : `${language} code`}
        className="rounded border border-line bg-panel px-3 py-2 font-mono text-small whitespace-pre"
      >
        {text}
      </Scroll>
      <CopyButton
        text={text}
        className="absolute top-1 right-1 bg-panel opacity-0 group-focus-within:opacity-100 group-hover:opacity-100"
      />
    </div>
  );
}

function renderInline(part: Inline, key: number): ReactNode {
  switch (part.kind) {
    case "text":
      return part.text;
    case "code":
      return (
        <code key={key} className="rounded-sm bg-hover px-1 py-px font-mono text-small">
          {part.text}
        </code>
      );
    case "strong":
      return (
        <strong key={key} className="font-semibold">
          {part.children.map(renderInline)}
        </strong>
      );
    case "em":
      return <em key={key}>{part.children.map(renderInline)}</em>;
    case "del":
      return <del key={key}>{part.children.map(renderInline)}</del>;
    case "link":
      return (
        <a
          key={key}
          href={part.href}
          title={part.href}
          target="_blank"
          rel="noreferrer noopener"
          className="underline decoration-ink-3 underline-offset-2 hover:decoration-ink"
        >
          {part.children.map(renderInline)}
        </a>
      );
    case "break":
      return <br key={key} />;
  }
}
