import type { VaultOption } from "./lists.ts";

interface VaultFieldProps {
  vaults: readonly VaultOption[];
  /** Ids, in any order. */
  chosen: readonly string[];
  onChange: (chosen: string[]) => void;
}

/** Which vaults' credentials the session may use. Nothing is shown where there is none to choose. */
export function VaultField({ vaults, chosen, onChange }: VaultFieldProps) {
  if (vaults.length === 0) return null;
  return (
    <fieldset className="space-y-1.5" data-testid="vaults">
      <legend className="mb-1 font-medium">Connections</legend>
      {vaults.map(({ id, name, holds }) => (
        <label key={id} className="flex items-baseline gap-2">
          <input
            type="checkbox"
            checked={chosen.includes(id)}
            onChange={(event) => {
              const others = chosen.filter((known) => known !== id);
              onChange(event.target.checked ? [...others, id] : others);
            }}
            data-testid={`vault-${id}`}
            className="translate-y-0.5"
          />
          <span className="min-w-0">
            {name} <span className="text-ink-3">{holds}</span>
          </span>
        </label>
      ))}
      <p className="text-small text-ink-3">
        The agent uses these credentials and never sees them. It keeps the vaults that it was started with; what is in
        them may change.
      </p>
    </fieldset>
  );
}
