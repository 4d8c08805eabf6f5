import { expect, test } from "vitest";
import { askedRoute, pushPolicy, repositoryGrant, repositoryRoute, spellings } from "./repositories.ts";

test.each([
  ["https://github.com/owner/name", "github.com/owner/name"],
  ["https://GitHub.com:443/owner/name.git", "github.com/owner/name"],
  ["https://github.com/owner/name.git/", "github.com/owner/name"],
  ["https://github.com/Owner/name", "github.com/Owner/name"],
  ["https://git.example.com:8443/g/s/p.git", "git.example.com:8443/g/s/p"],
  ["http://localhost/a", "localhost:80/a"],
  ["http://127.0.0.1:3000/a/b", "127.0.0.1:3000/a/b"],
  ["https://[::1]:8443/a/b", "[::1]:8443/a/b"],
  ["https://github.com/owner/../other/name", "github.com/other/name"],
])("%s is %s in the route", (url, route) => {
  expect(repositoryRoute(url)).toBe(route);
  expect(askedRoute(`${route}.git`)).toBe(route);
});

test.each([
  "github.com/owner/../other/name",
  "github.com/owner%2f..%2fother/name",
  "github.com//other/name",
  "github.com:80/other/name",
  "user@github.com/other/name",
  "github.com.evil.test/other/name",
  "github.com/other/name\0",
  "github.com/other/name?x",
  "",
])("%j is not another repository", (asked) => {
  expect(askedRoute(asked)).not.toBe("github.com/other/name");
});

test("the ways to write an address, and what the broker is told", () => {
  expect(spellings("https://github.com/o/n.git")).toEqual([
    "https://github.com/o/n",
    "git@github.com:o/n",
    "ssh://git@github.com/o/n",
    "git://github.com/o/n",
  ]);
  expect(spellings("http://localhost:3000/o/n")).toEqual(["http://localhost:3000/o/n"]);
  const resource = { id: "sesrsc_1", url: "https://github.com/o/n" };
  expect(repositoryGrant("sesn_1", resource, null)).toEqual({
    resource_id: "sesrsc_1",
    url: resource.url,
    token: null,
    branch: "refs/heads/longhaul/sesn_1",
    push: "ask",
  });
});

test("a person is asked unless the session says otherwise", () => {
  expect(
    [{}, { "longhaul.push": "allow" }, { "longhaul.push": "deny" }, { "longhaul.push": "?" }].map(pushPolicy),
  ).toEqual(["ask", "allow", "deny", "ask"]);
});
