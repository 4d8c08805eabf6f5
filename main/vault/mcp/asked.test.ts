import { expect, test } from "vitest";
import { mayComeTwice, purposeOf } from "./asked.ts";

const post = (body: string, header?: string) => purposeOf("POST", Buffer.from(body), header);

test.each([
  ['{"method":"tools/call","params":{"name":"secret"},"jsonrpc":"2.0","id":1}', "tools/call"],
  ['{"jsonrpc":"2.0","id":"a","method":"initialize"}', "initialize"],
  [' {\n "jsonrpc" : "2.0",\n "id" : -3 , "method" : "notifications/initialized" }', "notifications/initialized"],
  ['{"jsonrpc":"2.0","id":null,"method":"ping"}', "ping"],
  ['{"jsonrpc":"2.0","id":1,"result":{"method":"secret"}}', "message"],
  ['{"params":{"method":"secret"},"method":"tools/call"}', "message"],
  ['{"jsonrpc":"2.0","method":"evil secret"}', "message"],
  [`{"method":"${"a".repeat(65)}"}`, "message"],
  ['[{"method":"tools/call"}]', "message"],
  ["", "message"],
  ["\xff\xfe{", "message"],
])("%s", (body, purpose) => {
  expect(post(body)).toBe(purpose);
});

test("the header helps where the body does not say it first, and never overrules it", () => {
  expect(post('{"params":{},"method":"tools/call"}', "tools/call")).toBe("tools/call");
  expect(post('{"method":"tools/call"}', "ping")).toBe("tools/call");
  expect(post("{}", "a b")).toBe("message");
  expect(purposeOf("GET", null, "tools/call")).toBe("event stream");
  expect(purposeOf("DELETE", null, undefined)).toBe("end of the MCP session");
});

test("a method at the far end of a huge body is not looked for, and costs no time", () => {
  expect(post(`{${'"id":1,'.repeat(2_000_000)}"method":"ping"}`)).toBe("message");
  expect(post(`{"id":"${'\\"'.repeat(1000)}","method":"ping"}`)).toBe("message");
});

test("calls and unknown messages are not sent twice on a guess", () => {
  expect(
    ["tools/list", "initialize", "notifications/cancelled", "resources/read", "event stream"].every(mayComeTwice),
  ).toBe(true);
  expect(
    ["tools/call", "message", "sampling/createMessage", "tasks/cancel", "elicitation/create"].some(mayComeTwice),
  ).toBe(false);
});
