/** Parts of forms: a labelled field with its note and its error, and a choice from a list. */
import { type ReactNode, useId } from "react";
import type { Problem } from "../api/problem.ts";

export const INPUT = "w-full h-8 rounded border border-line-strong bg-raised px-2";

interface FieldProps {
  label: string;
  note?: string | undefined;
  problem: Problem | null;
  /** Draws the control; the props name it and tie it to its note and its error. */
  children: (control: ControlProps) => ReactNode;
}

export interface ControlProps {
  id: string;
  "aria-describedby": string;
  "aria-invalid": boolean;
}

export function Field({ label, note, problem, children }: FieldProps) {
  const id = useId();
  return (
    <div className="space-y-1.5">
      <label htmlFor={id} className="block font-medium">
        {label}
      </label>
      {children({ id, "aria-describedby": `${id}-about`, "aria-invalid": problem !== null })}
      <div id={`${id}-about`}>
        {problem !== null && (
          <p role="alert" data-testid="field-error" className="text-bad">
            {problem.message}
          </p>
        )}
        {note !== undefined && <p className="text-small text-ink-3">{note}</p>}
      </div>
    </div>
  );
}

export interface Option {
  value: string;
  label: string;
  note: string;
}

interface ChoiceProps {
  control: ControlProps;
  value: string;
  options: readonly Option[];
  onChange: (value: string) => void;
  testId: string;
}

export function Choice({ control, value, options, onChange, testId }: ChoiceProps) {
  return (
    <select
      {...control}
      value={value}
      onChange={(event) => onChange(event.target.value)}
      data-testid={testId}
      className={INPUT}
    >
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.note === "" ? option.label : `${option.label} (${option.note})`}
        </option>
      ))}
    </select>
  );
}

export type FormField = "task" | "folder" | "agent" | "model" | "environment";

const PATHS: readonly [RegExp, FormField][] = [
  [/\bresources\b|\bpath\b|repository|folder|checkout/i, "folder"],
  [/\binitial_events\b|\bcontent\b/i, "task"],
  [/\benvironment|\bconfig\.|\bmetadata\.longhaul/i, "environment"],
  [/\bmodel\b/i, "model"],
  [/\bagent/i, "agent"],
];

/** The field that the engine's message is about, if it names one. */
export function fieldOf(message: string): FormField | null {
  return PATHS.find(([pattern]) => pattern.test(message))?.[1] ?? null;
}
