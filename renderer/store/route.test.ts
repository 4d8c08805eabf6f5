import { describe, expect, it } from "vitest";
import { parseRoute, type Route, routeHash, signInCode } from "./route.ts";

describe("addresses", () => {
  it.each<Route>([
    { screen: "home" },
    { screen: "new" },
    { screen: "settings" },
    { screen: "session", id: "sesn_01", event: null },
    { screen: "session", id: "odd/id?#", event: "sevt_01&x" },
  ])("read back what they were made from: %j", (route) => expect(parseRoute(routeHash(route))).toEqual(route));

  it("lead home when they are unknown", () => {
    expect(parseRoute("")).toEqual({ screen: "home" });
    expect(parseRoute("#/s/")).toEqual({ screen: "home" });
    expect(parseRoute("#code=abc")).toEqual({ screen: "home" });
  });

  it("carry a sign-in code", () => {
    expect(signInCode("#code=abc-123")).toBe("abc-123");
    expect(signInCode("#/s/x")).toBeNull();
  });
});
