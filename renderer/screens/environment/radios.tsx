import type { ReactNode } from "react";

interface RadiosProps<T extends string> {
  legend: string;
  name: string;
  value: T;
  /** `below`: what belongs to an option, shown under it while it is chosen. */
  options: readonly { value: T; label: ReactNode; note: string; below?: ReactNode }[];
  onChange: (value: T) => void;
}

/** A choice of one of a few, each with a note. */
export function Radios<T extends string>({ legend, name, value, options, onChange }: RadiosProps<T>) {
  return (
    <fieldset className="space-y-1.5">
      <legend className="mb-1 font-medium">{legend}</legend>
      {options.map((option) => (
        <div key={option.value}>
          <label className="flex items-baseline gap-2">
            <input
              type="radio"
              name={name}
              checked={value === option.value}
              onChange={() => onChange(option.value)}
              data-testid={`${name}-${option.value === "" ? "automatic" : option.value}`}
              className="shrink-0 translate-y-0.5"
            />
            <span>
              {option.label} <span className="text-ink-3">{option.note}</span>
            </span>
          </label>
          {option.below !== undefined && value === option.value && (
            <div className="pt-2 pb-1.5 pl-[22px]">{option.below}</div>
          )}
        </div>
      ))}
    </fieldset>
  );
}
