import { Radios } from "../screens/environment/radios.tsx";
import { Field, INPUT } from "../screens/form.tsx";
import type { FieldsProps } from "./add_dialog.tsx";

/** What a variable is called and where its value may go. */
export function VariableFields({ draft, set, problemAt }: FieldsProps) {
  const hosts = (
    <Field
      label="Hosts"
      note="One a line, such as api.example.com or *.example.com. The session's network must allow them too."
      problem={problemAt("hosts")}
    >
      {(control) => (
        <textarea
          {...control}
          rows={2}
          value={draft.hosts}
          spellCheck={false}
          onChange={(event) => set({ hosts: event.target.value })}
          data-testid="variable-hosts"
          className={`${INPUT} h-auto resize-y py-1.5 font-mono text-small`}
        />
      )}
    </Field>
  );
  const location = problemAt("location");
  return (
    <>
      <Field label="Name of the variable" problem={problemAt("variable")}>
        {(control) => (
          <input
            {...control}
            value={draft.variable}
            placeholder="STRIPE_KEY"
            spellCheck={false}
            autoCapitalize="characters"
            onChange={(event) => set({ variable: event.target.value })}
            data-testid="variable-name"
            className={`${INPUT} font-mono text-small`}
          />
        )}
      </Field>
      <Radios
        legend="Goes to"
        name="reach"
        value={draft.reach}
        onChange={(reach) => set({ reach })}
        options={[
          {
            value: "limited",
            label: "These hosts",
            note: "The value is put in for them and for nobody else.",
            below: hosts,
          },
          {
            value: "unrestricted",
            label: "Any host that the session reaches",
            note: "An agent that is talked into it can send the value anywhere.",
          },
        ]}
      />
      <fieldset className="space-y-1.5">
        <legend className="mb-1 font-medium">Put into</legend>
        {(["header", "body"] as const).map((place) => (
          <label key={place} className="flex items-baseline gap-2">
            <input
              type="checkbox"
              checked={draft[place]}
              aria-invalid={location !== null}
              onChange={(event) => set({ [place]: event.target.checked })}
              data-testid={`inject-${place}`}
              className="translate-y-0.5"
            />
            {place === "header" ? "Request headers" : "Request bodies"}
          </label>
        ))}
        {location !== null && (
          <p role="alert" data-testid="field-error" className="text-bad">
            {location.message}
          </p>
        )}
      </fieldset>
    </>
  );
}
