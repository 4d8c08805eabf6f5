/** Block Markdown as models write it: paragraphs, headings, lists, fenced code, quotes, tables. No HTML. */
import { type Inline, parseInline } from "./inline.ts";

export type Block =
  | { kind: "paragraph"; inline: Inline[] }
  | { kind: "heading"; level: number; inline: Inline[] }
  | { kind: "code"; language: string; text: string }
  | { kind: "list"; ordered: boolean; start: number; items: { checked: boolean | null; blocks: Block[] }[] }
  | { kind: "quote"; blocks: Block[] }
  | { kind: "table"; head: Inline[][]; rows: Inline[][][] }
  | { kind: "rule" };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const ITEM = /^( {0,9})([-*+]|\d{1,9}[.)])(\s+|$)(.*)$/;
const QUOTE = /^ {0,3}> ?(.*)$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const MAX_DEPTH = 8;

/** Parses a text; never throws. An unclosed fence runs to the end, as it must while the text still streams. */
export function parseMarkdown(text: string): Block[] {
  return parseLines(text.replace(/\r\n?/g, "\n").replaceAll("\t", "    ").split("\n"), 0);
}

function parseLines(lines: readonly string[], depth: number): Block[] {
  const blocks: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at] ?? "";
    if (line.trim() === "") {
      at += 1;
      continue;
    }
    const taken = depth < MAX_DEPTH ? takeBlock(lines, at, depth) : null;
    const { block, next } = taken ?? takeParagraph(lines, at, depth);
    blocks.push(block);
    at = next;
  }
  return blocks;
}

interface Taken {
  block: Block;
  next: number;
}

function takeBlock(lines: readonly string[], at: number, depth: number): Taken | null {
  const line = lines[at] ?? "";
  const fence = FENCE.exec(line);
  if (fence !== null) return takeCode(lines, at, fence[1] ?? "```", fence[2] ?? "");
  const heading = HEADING.exec(line);
  if (heading !== null) {
    const level = heading[1]?.length ?? 1;
    return { block: { kind: "heading", level, inline: parseInline(heading[2] ?? "") }, next: at + 1 };
  }
  if (RULE.test(line)) return { block: { kind: "rule" }, next: at + 1 };
  if (QUOTE.test(line)) return takeQuote(lines, at, depth);
  if (ITEM.test(line)) return takeList(lines, at, depth);
  if (line.includes("|") && TABLE_RULE.test(lines[at + 1] ?? "") && (lines[at + 1] ?? "").includes("-")) {
    return takeTable(lines, at);
  }
  return null;
}

function takeCode(lines: readonly string[], at: number, fence: string, info: string): Taken {
  const close = new RegExp(`^ {0,3}${fence[0]}{${fence.length},}\\s*$`);
  const indent = /^ */.exec(lines[at] ?? "")?.[0].length ?? 0;
  const body: string[] = [];
  let next = at + 1;
  while (next < lines.length && !close.test(lines[next] ?? "")) {
    body.push((lines[next] ?? "").replace(new RegExp(`^ {0,${indent}}`), ""));
    next += 1;
  }
  return {
    block: { kind: "code", language: info.trim().split(/\s+/)[0] ?? "", text: body.join("\n") },
    next: next + 1,
  };
}

function takeQuote(lines: readonly string[], at: number, depth: number): Taken {
  const body: string[] = [];
  let next = at;
  for (; next < lines.length; next++) {
    const match = QUOTE.exec(lines[next] ?? "");
    if (match === null) break;
    body.push(match[1] ?? "");
  }
  return { block: { kind: "quote", blocks: parseLines(body, depth + 1) }, next };
}

function takeList(lines: readonly string[], at: number, depth: number): Taken {
  const first = ITEM.exec(lines[at] ?? "");
  const base = first?.[1]?.length ?? 0;
  const ordered = /\d/.test(first?.[2] ?? "");
  const items: { checked: boolean | null; blocks: Block[] }[] = [];
  let next = at;
  while (next < lines.length) {
    const match = ITEM.exec(lines[next] ?? "");
    const indent = match?.[1]?.length ?? 0;
    if (match === null || indent > base + 1 || indent < base || /\d/.test(match[2] ?? "") !== ordered) break;
    const content = indent + (match[2]?.length ?? 1) + 1;
    const body = [match[4] ?? ""];
    next += 1;
    next = takeItemBody(lines, next, content, base, body);
    items.push(makeItem(body, depth));
  }
  const start = ordered ? Number.parseInt(first?.[2] ?? "1", 10) : 1;
  return { block: { kind: "list", ordered, start, items }, next };
}

/** Lines that belong to an item: indented ones, and lazy ones that go on with its paragraph. */
function takeItemBody(lines: readonly string[], from: number, content: number, base: number, body: string[]): number {
  let at = from;
  while (at < lines.length) {
    const line = lines[at] ?? "";
    const indent = /^ */.exec(line)?.[0].length ?? 0;
    if (line.trim() === "") {
      const after = lines[at + 1] ?? "";
      const belongs = after.trim() !== "" && (/^ */.exec(after)?.[0].length ?? 0) >= Math.min(content, base + 2);
      if (!belongs) return ITEM.test(after) ? at + 1 : at;
      body.push("");
    } else if (indent >= Math.min(content, base + 2)) body.push(line.slice(Math.min(indent, content)));
    else if (ITEM.test(line) || FENCE.test(line) || HEADING.test(line) || QUOTE.test(line) || RULE.test(line))
      return at;
    else if ((body.at(-1) ?? "").trim() === "") return at;
    else body.push(line.trim());
    at += 1;
  }
  return at;
}

function makeItem(body: readonly string[], depth: number): { checked: boolean | null; blocks: Block[] } {
  const task = /^\[([ xX])\]\s+(.*)$/.exec(body[0] ?? "");
  if (task === null) return { checked: null, blocks: parseLines(body, depth + 1) };
  return { checked: task[1] !== " ", blocks: parseLines([task[2] ?? "", ...body.slice(1)], depth + 1) };
}

function takeTable(lines: readonly string[], at: number): Taken {
  const head = cells(lines[at] ?? "");
  const rows: Inline[][][] = [];
  let next = at + 2;
  for (; next < lines.length; next++) {
    const line = lines[next] ?? "";
    if (line.trim() === "" || !line.includes("|")) break;
    const row = cells(line);
    rows.push(head.map((_cell, column) => row[column] ?? []));
  }
  return { block: { kind: "table", head, rows }, next };
}

function cells(line: string): Inline[][] {
  const inner = line
    .trim()
    .replace(/^\|/, "")
    .replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => parseInline(cell.trim().replaceAll("\\|", "|")));
}

function takeParagraph(lines: readonly string[], at: number, depth: number): Taken {
  const body = [(lines[at] ?? "").trimStart()];
  let next = at + 1;
  for (; next < lines.length; next++) {
    const line = lines[next] ?? "";
    const ends = line.trim() === "" || FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line);
    if (ends || (ITEM.test(line) && depth < MAX_DEPTH)) break;
    body.push(line.trimStart());
  }
  return { block: { kind: "paragraph", inline: parseInline(body.join("\n").trimEnd()) }, next };
}
