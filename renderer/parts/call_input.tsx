/** The input of a tool call as a person reads it: a command, a file's new text, a change. */

import { visible } from "../format/visible.ts";
import { isBlob, partsOf } from "../timeline/content.ts";
import { relativePath } from "../timeline/describe.ts";
import { Parts } from "./output.tsx";

interface CallInputProps {
  name: string;
  input: Record<string, unknown>;
  maxLines: number;
}

const BOX = "rounded border border-line bg-panel px-3 py-2";

export function CallInput({ name, input, maxLines }: CallInputProps) {
  if (name === "edit") return <EditInput input={input} maxLines={maxLines} />;
  const main = name === "bash" ? "command" : name === "write" ? "content" : null;
  const body = main === null ? null : partsOf(input[main] ?? "");
  const path = name === "write" ? input.file_path : undefined;
  const rest = Object.entries(input).filter(([key]) => key !== main && !(key === "file_path" && path !== undefined));
  return (
    <div className="space-y-2">
      {typeof path === "string" && <FilePath path={path} />}
      {rest.length > 0 && (
        <dl className="grid grid-cols-[auto_1fr] gap-x-3 gap-y-1">
          {rest.map(([key, value]) => (
            <Field key={key} name={key} value={value} maxLines={maxLines} />
          ))}
        </dl>
      )}
      {body !== null && body.length > 0 && (
        <div className={BOX}>
          <Parts parts={body} maxLines={maxLines} />
        </div>
      )}
    </div>
  );
}

function FilePath({ path }: { path: string }) {
  return <p className="font-mono text-small [overflow-wrap:anywhere]">{visible(relativePath(path))}</p>;
}

function Field({ name, value, maxLines }: { name: string; value: unknown; maxLines: number }) {
  const text = typeof value === "string" ? relativePath(value) : isBlob(value) ? null : JSON.stringify(value, null, 2);
  return (
    <>
      <dt className="text-ink-3">{name}</dt>
      <dd className="min-w-0">
        <Parts parts={text === null ? partsOf(value) : [{ kind: "text", text: text ?? "" }]} maxLines={maxLines} />
      </dd>
    </>
  );
}

function EditInput({ input, maxLines }: { input: Record<string, unknown>; maxLines: number }) {
  return (
    <div className="space-y-2">
      <FilePath path={String(input.file_path ?? "")} />
      <div className="overflow-hidden rounded border border-line">
        <div className="border-l-2 border-bad bg-bad-soft px-3 py-1.5">
          <span className="sr-only">replaces: </span>
          <Parts parts={partsOf(input.old_string ?? "")} maxLines={maxLines} />
        </div>
        <div className="border-l-2 border-tools bg-added-soft px-3 py-1.5">
          <span className="sr-only">with: </span>
          <Parts parts={partsOf(input.new_string ?? "")} maxLines={maxLines} />
        </div>
      </div>
      {input.replace_all === true && <p className="text-ink-2">everywhere in the file</p>}
    </div>
  );
}
