import { expect, test } from "vitest";
import { memoryLines } from "./memory_lines.ts";

const store = { type: "memory_store" as const, memory_store_id: "memstore_1" };

test("each store is named with its place, access, description and instructions", () => {
  const lines = memoryLines([
    {
      ...store,
      name: "Notes",
      mount_path: "/mnt/memory/notes",
      access: "read_write",
      description: "",
      instructions: null,
    },
    {
      ...store,
      name: 'The "rules"',
      mount_path: "/mnt/memory/the-rules-",
      access: "read_only",
      description: "How we work.",
      instructions: "Read them first.",
    },
  ]);
  expect(lines.slice(1)).toEqual([
    'Memory store "Notes" is at /mnt/memory/notes (you may write to it).',
    'Memory store "The \\"rules\\"" is at /mnt/memory/the-rules- (read-only).',
    "  What it holds: How we work.",
    "  How to use it: Read them first.",
  ]);
  expect(lines[0]).toMatch(/^Memory stores are folders of text files/);
});

test("a session without stores says nothing of them", () => {
  expect(memoryLines([])).toEqual([]);
});
