/** `write`: creates or replaces a text file. */
import { type Machine, readOnlyRoot } from "../machine.ts";
import { ToolFailure } from "../port.ts";
import { fileFailure, ToolInput } from "./input.ts";

export async function write(input: unknown, machine: Machine): Promise<string> {
  const fields = new ToolInput("write", input);
  const path = fields.required("file_path");
  const content = fields.text("content");
  if (content === undefined) throw new ToolFailure("write: content is required");
  try {
    const canonical = await machine.resolve(path);
    refuseReadOnly("write", path, canonical, machine);
    await machine.write(canonical, content);
  } catch (error) {
    throw fileFailure("write", path, error);
  }
  return `wrote ${Buffer.byteLength(content)} bytes to ${path}`;
}

export function refuseReadOnly(tool: string, path: string, canonical: string, machine: Machine): void {
  const root = readOnlyRoot(machine, canonical);
  if (root !== null) throw new ToolFailure(`${tool}: ${path} is inside read-only directory ${root}`);
}
