import { beforeEach, expect, test, vi } from "vitest";
import type { ShellBridge } from "../main/contract/shell.ts";
import { answer, isOurPage } from "./channels_main.ts";
import { exposed, handlers, ipcRenderer, reset } from "./testing/stand_in.ts";

vi.mock("electron", () => import("./testing/stand_in.ts"));

type Frame = Parameters<typeof isOurPage>[0]["senderFrame"];

const ORIGIN = "http://127.0.0.1:4100";

function from(url: string, parent: unknown = null): { senderFrame: Frame } {
  return { senderFrame: { url, parent } as unknown as Frame };
}

beforeEach(reset);

test("only the top frame of a page of the engine is our page", () => {
  expect(isOurPage(from(`${ORIGIN}/#/s/x`), ORIGIN)).toBe(true);
  expect(isOurPage(from(`${ORIGIN}/`, {}), ORIGIN)).toBe(false);
  expect(isOurPage(from("http://127.0.0.1:4101/"), ORIGIN)).toBe(false);
  expect(isOurPage(from("https://example.com/"), ORIGIN)).toBe(false);
  expect(isOurPage(from("about:blank"), ORIGIN)).toBe(false);
  expect(isOurPage(from(""), ORIGIN)).toBe(false);
  expect(isOurPage({ senderFrame: null }, ORIGIN)).toBe(false);
  expect(isOurPage(from(`${ORIGIN}/`), null)).toBe(false);
});

test("a stranger's call is refused before its handler runs, and follows the engine when it moves", () => {
  let origin = ORIGIN;
  const handler = vi.fn(() => "/home/me");
  answer("shell:pick_folder", () => origin, handler);
  const call = handlers.get("shell:pick_folder");
  expect(call?.(from(`${ORIGIN}/`))).toBe("/home/me");
  expect(() => call?.(from("https://example.com/"))).toThrow("refused");
  origin = "http://127.0.0.1:4200";
  expect(() => call?.(from(`${ORIGIN}/`))).toThrow("refused");
  expect(handler).toHaveBeenCalledTimes(1);
});

test("the preload hands the page its bridge and nothing more, and calls declared channels only", async () => {
  await import("./preload.ts");
  expect([...exposed.keys()]).toEqual(["longhaul"]);
  const bridge = exposed.get("longhaul") as ShellBridge;
  expect(Object.keys(bridge).sort()).toEqual(["openExternal", "pickFolder", "platform"]);
  ipcRenderer.invoke.mockResolvedValueOnce("/home/me/project");
  expect(await bridge.pickFolder()).toBe("/home/me/project");
  ipcRenderer.invoke.mockResolvedValueOnce(true);
  expect(await bridge.openExternal("https://auth.example.com/")).toBe(true);
  expect(ipcRenderer.invoke.mock.calls).toEqual([
    ["shell:pick_folder"],
    ["shell:open_external", "https://auth.example.com/"],
  ]);
});
