/** `user.define_outcome`: what is stored of it, and when it is taken. */
import { invalid } from "../../../../contract/errors.ts";
import type { EventDraft } from "../../../../contract/events.ts";
import type { SessionFold } from "../../../../contract/fold.ts";
import { newId } from "../../../../contract/ids.ts";
import { activeOutcome, DEFAULT_ITERATIONS } from "../../../../contract/outcome/outcomes.ts";
import { type ClientEvent, MAX_RUBRIC_CHARS } from "../../../../contract/schemas/events.ts";
import type { Deps } from "../../../http/context.ts";
import { usableFile } from "../../files/file.ts";

type DefineOutcome = Extract<ClientEvent, { type: "user.define_outcome" }>;

/** A character takes at most four bytes. */
const MAX_RUBRIC_BYTES = 4 * MAX_RUBRIC_CHARS;

/** The event with its id and the rubric's text: the file may be gone when the outcome is graded. */
export async function outcomeDraft(
  deps: Pick<Deps, "catalog" | "blobs" | "now">,
  event: DefineOutcome,
  field: string,
): Promise<EventDraft> {
  const { rubric } = event;
  const content =
    rubric.type === "text" ? rubric.content : await fileText(deps, rubric.file_id, `${field}.rubric.file_id`);
  return {
    type: "user.define_outcome",
    outcome_id: newId("outcome"),
    description: event.description,
    rubric: { type: "text", content },
    max_iterations: event.max_iterations ?? DEFAULT_ITERATIONS,
  };
}

/** Refuses a second outcome while one is active. `earlier`: events of the same request. */
export function checkOutcome(fold: SessionFold, earlier: readonly ClientEvent[], field: string): void {
  const active = activeOutcome(fold);
  if (active !== null) {
    invalid(
      `\`${field}\`: the session still works towards outcome ${active.id}. Wait for the span.outcome_evaluation_end that ends it, or send user.interrupt and wait until the session is idle.`,
    );
  }
  if (earlier.some(({ type }) => type === "user.define_outcome")) {
    invalid(`\`${field}\`: a session works towards one outcome at a time. Send the next one when this one has ended.`);
  }
}

async function fileText(deps: Pick<Deps, "catalog" | "blobs" | "now">, id: string, field: string): Promise<string> {
  const file = await usableFile(deps, id, field);
  if (file.size_bytes > MAX_RUBRIC_BYTES) return tooLong(id, field);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await deps.blobs.get(file.sha256));
  } catch {
    return invalid(
      `\`${field}\`: file ${id} (${file.mime_type}) is not UTF-8 text. A rubric is plain text or markdown.`,
    );
  }
  if (text.length > MAX_RUBRIC_CHARS) return tooLong(id, field);
  if (text.trim() === "") invalid(`\`${field}\`: file ${id} is empty. Write the criteria of the rubric into it.`);
  if (text.includes("\0"))
    invalid(`\`${field}\`: file ${id} holds NUL characters. A rubric is plain text or markdown.`);
  return text;
}

function tooLong(id: string, field: string): never {
  return invalid(`\`${field}\`: the rubric in file ${id} has more than ${MAX_RUBRIC_CHARS} characters. Shorten it.`);
}
