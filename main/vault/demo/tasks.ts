/** The two tasks of the demo: the files before and after, and what is said about them. */
import { HOW_TO_CONNECT } from "./identity.ts";

export const FOLDER = "longhaul-demo";
export const PROGRAM = `${FOLDER}/duration.py`;
export const TEST = `${FOLDER}/test_duration.py`;
export const RUN = `python3 ${TEST}`;

export interface DemoTask {
  /** What the person sees when the task begins. */
  opening: string;
  /** The program when the task begins, and when it is done. */
  before: string;
  after: string;
  /** The edit that leads from the one to the other. */
  edit: { old_string: string; new_string: string };
  test: string;
  /** Why the test fails before the edit; `{failure}` is replaced by the test's own words. */
  diagnosis: string;
  /** First sentence of {@link report}, by which a finished task is known. */
  done: string;
  /** The final message. It depends on nothing that happened on the way, so every way leads to the same one. */
  report: string;
  /** One line for a summary. */
  name: string;
}

const WRONG_LINE = "            total += int(number)\n";
const RIGHT_LINE = "            total += int(number) * UNITS[character]\n";
const PARSER_END = "    return total\n";

const BUGGY = `"""Reads durations such as 1h30m or 45s as seconds."""

UNITS = {"h": 3600, "m": 60, "s": 1}


def parse_duration(text):
    total = 0
    number = ""
    for character in text:
        if character.isdigit():
            number += character
        elif character in UNITS and number:
${WRONG_LINE}            number = ""
        else:
            raise ValueError(f"not a duration: {text!r}")
    if number or not text:
        raise ValueError(f"not a duration: {text!r}")
${PARSER_END}`;

const FIXED = BUGGY.replace(WRONG_LINE, RIGHT_LINE);

const FORMATTER = `

def format_duration(seconds):
    if seconds < 0:
        raise ValueError(f"not a duration: {seconds!r}")
    parts = []
    for unit, size in UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
`;

const WITH_FORMATTER = FIXED.replace(PARSER_END, PARSER_END + FORMATTER);

function testOf(imports: string, checks: string): string {
  return `"""Checks duration.py. Run it with: ${RUN}"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(sys.argv[0]) or ".")

from duration import ${imports}

failed = 0
count = 0


def check(call, function, argument, expected):
    global failed, count
    count += 1
    try:
        actual = function(argument)
    except ValueError:
        actual = "ValueError"
    if actual == expected:
        print(f"ok   {call}({argument!r}) gives {actual!r}")
    else:
        failed += 1
        print(f"FAIL {call}({argument!r}) gives {actual!r}, expected {expected!r}")


${checks}
print(f"{failed} of {count} checks failed" if failed else f"{count} checks passed")
sys.exit(1 if failed else 0)
`;
}

const PARSE_CHECKS = `for text, expected in [("45s", 45), ("2m", 120), ("1h30m", 5400), ("1h1m1s", 3661)]:
    check("parse_duration", parse_duration, text, expected)
for text in ["", "m", "10", "1d"]:
    check("parse_duration", parse_duration, text, "ValueError")
`;

const FORMAT_CHECKS = `for seconds, expected in [(0, "0s"), (45, "45s"), (5400, "1h30m"), (3661, "1h1m1s"), (-1, "ValueError")]:
    check("format_duration", format_duration, seconds, expected)
`;

const PARSER_DONE = "`parse_duration` works: all 8 checks pass.";
const FORMATTER_DONE = "`format_duration` works: all 13 checks pass.";

export const TASKS: readonly DemoTask[] = [
  {
    name: "parse_duration",
    opening: "I write a small parser for durations such as `1h30m`, and its test beside it.",
    before: BUGGY,
    after: FIXED,
    edit: { old_string: WRONG_LINE, new_string: RIGHT_LINE },
    test: testOf("parse_duration", PARSE_CHECKS),
    diagnosis:
      "The test found a bug: `{failure}`. The number is added without its unit, so two minutes count as two seconds. " +
      "I multiply it by the unit.",
    done: PARSER_DONE,
    report: `${PARSER_DONE}

What I built:

- \`${PROGRAM}\`: \`parse_duration\`, which reads \`1h30m\` as 5400 seconds and refuses what is not a duration
- \`${TEST}\`: its checks; run them with \`${RUN}\`

The first version added the numbers without their units. The test showed it, I corrected that one line, and the test passed.

This was the offline demo. Send another message and I add \`format_duration\`, test first. ${HOW_TO_CONNECT}`,
  },
  {
    name: "format_duration",
    opening:
      "I am still the offline demo, so whatever you asked, I play my second part: `format_duration`, the way back from seconds to text. The test comes first.",
    before: FIXED,
    after: WITH_FORMATTER,
    edit: { old_string: PARSER_END, new_string: PARSER_END + FORMATTER },
    test: testOf("format_duration, parse_duration", PARSE_CHECKS + FORMAT_CHECKS),
    diagnosis: "The test fails as it should: `{failure}`. Now I write the function.",
    done: FORMATTER_DONE,
    report: `${FORMATTER_DONE}

What I added:

- \`${PROGRAM}\`: \`format_duration\`, which writes 5400 seconds as \`1h30m\`
- \`${TEST}\`: five checks of it

The test was there first and failed; then I wrote the function and it passed.

This was the second and last part of the offline demo. ${HOW_TO_CONNECT}`,
  },
];
