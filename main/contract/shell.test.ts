import { expect, test } from "vitest";
import { mayOpenOutside } from "./shell.ts";

test.each([
  "https://auth.example.com/authorize?state=1",
  "http://127.0.0.1:41000/authorize",
  "http://127.1.2.3/",
  "http://localhost:3000/",
  "http://[::1]:8080/x",
])("%s may be opened", (url) => {
  expect(mayOpenOutside(url)).toBe(true);
});

test.each([
  "http://auth.example.com/authorize",
  "http://127.0.0.1.example.com/",
  "http://localhost.example.com/",
  "http://192.168.0.1/",
  "https://user:password@example.com/",
  "javascript:alert(1)",
  "file:///etc/passwd",
  "ms-settings:",
  "data:text/html,x",
  "smb://host/share",
  "//example.com",
  "",
])("%s may not", (url) => {
  expect(mayOpenOutside(url)).toBe(false);
});
