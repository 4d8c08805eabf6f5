import { describe, expect, test } from "vitest";
import type { SessionFold } from "../../contract/fold.ts";
import { accountStep, EMPTY_ACCOUNT } from "./account.ts";
import { type EndingFacts, endingJson, endingText } from "./ending.ts";
import { Recording } from "./testing/frames.ts";
import { clip, count, duration, harmless, inputLine, styleFor, textOf } from "./words.ts";

const PLAIN = styleFor(false, "UTC");

function foldOf(recording: Recording): SessionFold {
  let state = EMPTY_ACCOUNT;
  for (const frame of recording.frames) state = accountStep(state, frame, PLAIN).state;
  if (state.fold === null) throw new Error("no fold");
  return state.fold;
}

function facts(more: Partial<EndingFacts> = {}): EndingFacts {
  const recording = new Recording().task().request("s").message("m", "All done.\n").answered("s").idle();
  return {
    ending: "done",
    session_id: "sesn_1",
    fold: foldOf(recording),
    final_message: "All done.\n",
    files: "/data/sandboxes/sesn_1/root/workspace",
    repositories: [],
    advice: null,
    ...more,
  };
}

describe("the end", () => {
  test("final message, time, totals, tokens, files", () => {
    expect(endingText(facts(), PLAIN)).toBe(
      `
Final message
All done.

Done in 1.0 s · 1 turn · 1 model request · 0 tool calls
  tokens   1.0 k in (90 % cached) · 50 out
  model    longhaul-demo (answered by the offline demo model)
  session  sesn_1
  files    /data/sandboxes/sesn_1/root/workspace
`,
    );
  });

  test("a patch comes with the command that applies it, quoted for a shell", () => {
    const file = { path: "a", status: "modified" as const, additions: 3, deletions: 1, binary: false };
    const change = { mount_path: "/workspace/a", path: "/home/ada/it's mine", patch: "diff", files: [file] };
    const text = endingText(facts({ repositories: [{ ...change, patch_file: "/d/a.patch" }] }), PLAIN);
    expect(text).toContain("changes  1 file, +3 −1, in the sandbox's copy of /home/ada/it's mine");
    expect(text).toContain("apply    git -C '/home/ada/it'\\''s mine' apply /d/a.patch");
    const none = endingText(facts({ repositories: [{ ...change, patch: "", files: [], patch_file: null }] }), PLAIN);
    expect(none).toContain("changes  none in");
  });

  test("what is left to do is the last thing said; nothing was said by a silent agent", () => {
    const text = endingText(facts({ ending: "left", final_message: null, advice: "Resume it." }), PLAIN);
    expect(text).not.toContain("Final message");
    expect(text).toMatch(/Left in 1\.0 s[\s\S]*\n\nResume it\.\n$/);
  });

  test("as JSON it is one line with the exit code", () => {
    const json = JSON.parse(endingJson(facts(), 0)) as object;
    expect(json).toMatchObject({
      type: "result",
      session_id: "sesn_1",
      ending: "done",
      exit_code: 0,
      final_message: "All done.\n",
      demo: true,
      usage: { output_tokens: 50 },
    });
  });
});

describe("words", () => {
  test("durations and counts", () => {
    expect([0.4, 3, 999.6, 4200, 59_949, 59_960, 130_000, 3_599_600, 7_500_000, -5, Number.NaN].map(duration)).toEqual([
      "0 ms",
      "3 ms",
      "1.0 s",
      "4.2 s",
      "59.9 s",
      "1 m 0 s",
      "2 m 10 s",
      "1 h 0 m",
      "2 h 5 m",
      "0 ms",
      "0 ms",
    ]);
    expect([0, 999, 1000, 9949, 41_234, 999_499, 3_400_000].map(count)).toEqual([
      "0",
      "999",
      "1.0 k",
      "9.9 k",
      "41 k",
      "999 k",
      "3.4 M",
    ]);
  });

  test("foreign text loses what a terminal would obey, and keeps the rest", () => {
    expect(harmless("a\u001b[31mb\u0007c\r\nd\te\u009bf ✓")).toBe("abc\nd\te ✓");
    expect(clip("  one\n\ttwo  ", 20)).toBe("one two");
    expect(clip("x".repeat(1_000_000), 5)).toBe("xxxx…");
  });

  test("the telling value of an input, whatever its shape", () => {
    expect(inputLine({ command: "ls\n-la" })).toBe("ls -la");
    expect(inputLine({ restart: true })).toBe("(restart the shell)");
    expect(inputLine({ n: 1 })).toBe('{"n":1}');
    expect([inputLine({}), inputLine(null), inputLine("x")]).toEqual(["", "", ""]);
    expect(textOf([{ type: "text", text: "a" }, { type: "image" }, null, 3])).toBe("a\n[image]\n\n");
  });
});
