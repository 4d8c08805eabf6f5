import { expect, test } from "vitest";
import { cloneProblem } from "./clone_problem.ts";

test.each([
  ["fatal: Remote branch nowhere not found in upstream origin", "checkout"],
  ["fatal: couldn't find remote ref 0123", "checkout"],
  ["error: pathspec 'x' did not match any file(s) known to git", "checkout"],
  ["fatal: could not read Username for 'https://github.com': terminal prompts disabled", "authentication"],
  ["remote: Invalid username or token.\nfatal: Authentication failed for 'https://github.com/a/b/'", "authentication"],
  ["fatal: unable to access 'https://github.com/a/b/': The requested URL returned error: 403", "forbidden"],
  ["fatal: unable to access 'https://x/a/': Received HTTP code 403 from proxy after CONNECT", "clone"],
  ["fatal: unable to access 'https://x/a/': CONNECT tunnel failed, response 403", "clone"],
  ["fatal: unable to access 'https://x.invalid/': Could not resolve host: x.invalid", "clone"],
  ["remote: Repository not found.\nfatal: repository 'https://github.com/a/b/' not found", "not_found"],
  ["fatal: unable to access 'https://x/a/': The requested URL returned error: 404", "not_found"],
  ["fatal: early EOF", "clone"],
  ["", "clone"],
])("%s", (said, problem) => {
  expect(cloneProblem(said)).toBe(problem);
});
