import { type RefObject, useState } from "react";
import type { Problem } from "../api/problem.ts";
import { Field, INPUT } from "../screens/form.tsx";
import { Button } from "../ui/button.tsx";

interface SecretFieldProps {
  label: string;
  note?: string;
  problem: Problem | null;
  field: RefObject<HTMLInputElement | null>;
  testId: string;
}

/**
 * A field for a secret value. Nothing of the page keeps what is typed: it stays in the element alone, from where it is
 * read once, when it is sent.
 */
export function SecretField({ label, note, problem, field, testId }: SecretFieldProps) {
  const [shown, setShown] = useState(false);
  return (
    <Field label={label} note={note} problem={problem}>
      {(control) => (
        <div className="flex gap-2">
          <input
            {...control}
            ref={field}
            type={shown ? "text" : "password"}
            autoComplete="off"
            autoCapitalize="off"
            spellCheck={false}
            data-1p-ignore
            data-lpignore="true"
            data-bwignore
            data-testid={testId}
            className={`${INPUT} font-mono text-small`}
          />
          <Button className="h-8" aria-pressed={shown} onClick={() => setShown(!shown)}>
            {shown ? "Hide" : "Show"}
          </Button>
        </div>
      )}
    </Field>
  );
}

/** The value of a secret field, which is empty from then on. */
export function takeSecret(field: RefObject<HTMLInputElement | null>): string {
  const value = field.current?.value ?? "";
  if (field.current !== null) field.current.value = "";
  return value;
}
