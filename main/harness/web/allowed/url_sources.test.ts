import { describe, expect, test } from "vitest";
import type { EventDraft } from "../../../contract/events.ts";
import { newId } from "../../../contract/ids.ts";
import { message, snapshot } from "../../../orchestration/testing/rig.ts";
import { MemoryLedger } from "../../../session/memory_ledger.ts";
import { permitted } from "./domains.ts";
import { wasShown } from "./url_sources.ts";

const URL_ = "https://docs.example.com/guide/a?b=1";

async function shown(url: string, drafts: EventDraft[], sources: Parameters<typeof wasShown>[3] = null) {
  const ledger = new MemoryLedger({ isHolderAlive: () => true });
  const id = newId("session");
  await ledger.createSession(id, [{ type: "longhaul.session_created", session: snapshot() }, ...drafts]);
  return wasShown(ledger, id, url, sources);
}

/** A call and its result. */
function call(name: string, content: unknown[], more: Record<string, unknown> = {}): EventDraft[] {
  const id = newId("event");
  const custom = more["custom"] === true;
  return [
    { type: custom ? "agent.custom_tool_use" : "agent.tool_use", id, name, input: {} },
    custom
      ? { type: "user.custom_tool_result", custom_tool_use_id: id, content }
      : { type: "agent.tool_result", tool_use_id: id, content, is_error: more["is_error"] === true },
  ] as EventDraft[];
}

const text = (value: string) => ({ type: "text", text: value });
const none = { type: "none" } as const;
const named = (type: "only" | "except", ...names: string[]) => ({
  type,
  tools: names.map((name) => ({ type: "tool_reference" as const, name })),
});

describe("a URL in a text", () => {
  test.each([
    ["alone", "https://docs.example.com/guide/a?b=1", true],
    ["at the end of a sentence", "See https://docs.example.com/guide/a?b=1.", true],
    ["in Markdown", "[the guide](https://docs.example.com/guide/a?b=1), please", true],
    ["in quotes of JSON", '{"url":"https://docs.example.com/guide/a?b=1","x":1}', true],
    ["in a list without spaces", "https://a.example,https://docs.example.com/guide/a?b=1,https://b.example", true],
    ["with a fragment", "https://docs.example.com/guide/a?b=1#part", true],
    ["without a scheme", "look at docs.example.com/guide/a?b=1", true],
    ["with another case of the host", "HTTPS://Docs.Example.com/guide/a?b=1", true],
    ["with http", "http://docs.example.com/guide/a?b=1", true],
    ["with more of it", "https://docs.example.com/guide/a?b=12", false],
    ["on a host that only ends alike", "https://evil-docs.example.com/guide/a?b=1", false],
    ["on a subdomain", "https://www.docs.example.com/guide/a?b=1", false],
    ["as part of another host", "https://docs.example.com.evil.org/guide/a?b=1", false],
    ["behind a user name", "https://me@docs.example.com/guide/a?b=1", false],
    ["in another case of the path", "https://docs.example.com/Guide/a?b=1", false],
    ["not at all", "nothing here", false],
  ])("%s", async (_name, content, expected) => {
    expect(await shown(URL_, [message(content)])).toBe(expected);
  });

  test("a slash at the end and names in other scripts make no difference", async () => {
    expect(await shown("https://example.com/", [message("https://example.com")])).toBe(true);
    expect(await shown("https://example.com/a", [message("example.com/a/")])).toBe(true);
    expect(await shown("https://bücher.example/ä", [message("Siehe https://bücher.example/ä!")])).toBe(true);
    expect(await shown("https://bücher.example/ä", [message("https://xn--bcher-kva.example/%C3%A4")])).toBe(true);
  });

  test("what is no URL was never shown, and a hostile text costs little", async () => {
    expect(await shown("file:///etc/passwd", [message("file:///etc/passwd")])).toBe(false);
    expect(await shown("nonsense", [message("nonsense")])).toBe(false);
    const long = `https://docs.example.com${"A_".repeat(10_000)}`;
    expect(await shown(URL_, [message(long)])).toBe(false);
    expect([await shown(long, [message(long)]), permitted(long, null)]).toEqual([false, false]);
    const hostile = "docs.example.com.,;".repeat(40_000);
    const started = performance.now();
    expect(await shown(URL_, [message(hostile)])).toBe(false);
    expect(performance.now() - started).toBeLessThan(5_000);
  });
});

describe("sources", () => {
  const found = [text(`Results:\n1. Guide\n   ${URL_}`), text("summary")];

  test.each<[string, EventDraft[], Parameters<typeof wasShown>[3], boolean]>([
    ["a user's message", [message(URL_)], null, true],
    [
      "a user's message, switched off",
      [message(URL_)],
      { client_tool_results: null, server_tool_results: null, user_input: none },
      false,
    ],
    ["a search's list", call("web_search", found), null, true],
    // The summary could repeat the model's own query, and with it a URL that carries data away.
    ["a search's summary", call("web_search", [text("Results: none"), text(`Nothing about ${URL_}`)]), null, false],
    ["a fetched page", call("web_fetch", [{ type: "document", source: { type: "text", data: URL_ } }]), null, true],
    ["a failed fetch", call("web_fetch", [text(`url_not_allowed: ${URL_}`)], { is_error: true }), null, false],
    [
      "a search, with only fetches counting",
      call("web_search", found),
      { client_tool_results: null, server_tool_results: named("only", "web_fetch"), user_input: null },
      false,
    ],
    [
      "a search, with all but fetches counting",
      call("web_search", found),
      { client_tool_results: null, server_tool_results: named("except", "web_fetch"), user_input: null },
      true,
    ],
    // Whatever the model wants a command to print, it prints.
    ["a command's output", call("bash", [text(URL_)]), null, false],
    ["a custom tool's result", call("lookup", [text(URL_)], { custom: true }), null, true],
    [
      "a custom tool that is left out",
      call("lookup", [text(URL_)], { custom: true }),
      { client_tool_results: named("except", "lookup"), server_tool_results: null, user_input: null },
      false,
    ],
    [
      "another custom tool's search result",
      call("lookup", [{ type: "search_result", source: URL_, title: "t", content: [] }], { custom: true }),
      { client_tool_results: named("only", "lookup"), server_tool_results: none, user_input: none },
      true,
    ],
    ["the model's own words", [{ type: "agent.message", content: [text(URL_)] } as EventDraft], null, false],
    [
      "an image's bytes",
      [
        {
          type: "user.message",
          content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: URL_ } }],
        } as EventDraft,
      ],
      null,
      false,
    ],
  ])("%s", async (_name, drafts, sources, expected) => {
    expect(await shown(URL_, drafts, sources)).toBe(expected);
  });
});
