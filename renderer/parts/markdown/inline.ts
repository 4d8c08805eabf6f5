/** Inline Markdown: code, emphasis, links. Everything else, HTML included, is text. */

export type Inline =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "strong" | "em" | "del"; children: Inline[] }
  | { kind: "link"; href: string; children: Inline[] }
  | { kind: "break" };

const MAX_DEPTH = 6;

/** The address if it is one that may be opened from text we did not write; null otherwise. */
export function safeHref(href: string): string | null {
  try {
    const url = new URL(href);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

// One alternative per construct; the first that matches at the earliest place wins.
const TOKEN = new RegExp(
  [
    "(?<esc>\\\\[!-/:-@[-`{-~])",
    "(?<tick>`{1,8})(?<code>[^`]|[^`][\\s\\S]{0,2000}?[^`])\\k<tick>(?!`)",
    '(?<image>!)?\\[(?<label>(?:[^\\[\\]]|\\[[^\\[\\]]*\\])*)\\]\\((?<href>[^()\\s]*(?:\\([^()\\s]*\\)[^()\\s]*)*)(?:\\s+"[^"]*")?\\)',
    "(?<strong>\\*\\*|__)(?=\\S)(?<bold>[\\s\\S]{0,1000}?\\S)\\k<strong>",
    "(?<del>~~)(?=\\S)(?<gone>[\\s\\S]{0,1000}?\\S)~~",
    "(?<![A-Za-z0-9_*])(?<em>[*_])(?=[^\\s*_])(?<slant>[^\\n]{0,1000}?[^\\s*_])\\k<em>(?![A-Za-z0-9_*])",
    "(?<url>https?:\\/\\/[^\\s<>`]*[^\\s<>`.,;:!?'\")\\]])",
    "(?<br>(?: {2,}|\\\\)\\n)",
  ].join("|"),
  "g",
);

/** Parses inline text. Unclosed marks stay as they are typed, which is what a text that still streams needs. */
export function parseInline(source: string, depth = 0): Inline[] {
  const out: Inline[] = [];
  const text = (value: string): void => {
    const last = out.at(-1);
    if (value === "") return;
    if (last?.kind === "text") last.text += value;
    else out.push({ kind: "text", text: value });
  };
  let from = 0;
  for (const match of source.matchAll(TOKEN)) {
    text(source.slice(from, match.index));
    from = match.index + match[0].length;
    const made = depth >= MAX_DEPTH ? null : construct(match.groups ?? {}, depth);
    if (made === null) text(match[0]);
    else if (made.kind === "text") text(made.text);
    else out.push(made);
  }
  text(source.slice(from));
  return out;
}

type Groups = Record<string, string | undefined>;

function construct(groups: Groups, depth: number): Inline | null {
  if (groups.esc !== undefined) return { kind: "text", text: groups.esc.slice(1) };
  if (groups.code !== undefined) return { kind: "code", text: groups.code.replace(/^ (?=.*\S)(.*) $/s, "$1") };
  if (groups.label !== undefined) return link(groups, depth);
  if (groups.bold !== undefined) return { kind: "strong", children: parseInline(groups.bold, depth + 1) };
  if (groups.gone !== undefined) return { kind: "del", children: parseInline(groups.gone, depth + 1) };
  if (groups.slant !== undefined) return { kind: "em", children: parseInline(groups.slant, depth + 1) };
  if (groups.url !== undefined) {
    const href = safeHref(groups.url);
    return href === null ? null : { kind: "link", href, children: [{ kind: "text", text: groups.url }] };
  }
  return groups.br === undefined ? null : { kind: "break" };
}

/** An image is never loaded: its address would tell a stranger that somebody reads this. It becomes a link. */
function link(groups: Groups, depth: number): Inline | null {
  const href = safeHref(groups.href ?? "");
  if (groups.image !== undefined) {
    const text = `[image: ${groups.label || "no description"}]`;
    return href === null ? { kind: "text", text } : { kind: "link", href, children: [{ kind: "text", text }] };
  }
  // A relative address leads nowhere from here: keep its text and name the target.
  if (href === null)
    return {
      kind: "text",
      text: groups.label === groups.href ? (groups.label ?? "") : `${groups.label} (${groups.href})`,
    };
  return { kind: "link", href, children: parseInline(groups.label ?? "", depth + 1) };
}
