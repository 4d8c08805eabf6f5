/** `edit`: replaces one piece of text, or every occurrence of it, in a file. */
import type { Machine } from "../machine.ts";
import { ToolFailure } from "../port.ts";
import { fileFailure, ToolInput } from "./input.ts";
import { readWhole } from "./read.ts";
import { refuseReadOnly } from "./write.ts";

export async function edit(input: unknown, machine: Machine): Promise<string> {
  const fields = new ToolInput("edit", input);
  const path = fields.required("file_path");
  const oldString = fields.required("old_string");
  const newString = fields.text("new_string");
  if (newString === undefined) throw new ToolFailure("edit: new_string is required");
  const all = fields.flag("replace_all");
  try {
    const canonical = await machine.resolve(path);
    refuseReadOnly("edit", path, canonical, machine);
    const text = await readWhole("edit", path, canonical, machine);
    const pieces = text.split(oldString);
    const count = pieces.length - 1;
    if (count === 0) throw new ToolFailure(`edit: old_string not found in ${path}`);
    if (count > 1 && !all) {
      throw new ToolFailure(`edit: old_string appears ${count} times in ${path} (must be unique)`);
    }
    await machine.write(canonical, pieces.join(newString));
    return `edited ${path} (${count} replacement(s))`;
  } catch (error) {
    throw fileFailure("edit", path, error);
  }
}
