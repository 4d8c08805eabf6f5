import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { Problem } from "../../api/problem.ts";
import { networkOf, packagesOf, settingOf } from "../../desk/sandbox/settings.ts";
import { sandboxTitle } from "../../timeline/sandbox/words.ts";
import { isDefaultEnvironment } from "../defaults.ts";
import { Choice, Field } from "../form.tsx";
import { NEW_ENVIRONMENT } from "./draft.ts";

/** Value that stands for the environment that Longhaul makes by itself. */
export const DEFAULT = "default";

interface EnvironmentFieldProps {
  value: string;
  environments: readonly BetaEnvironment[];
  onChange: (value: string) => void;
  problem: Problem | null;
}

/** Chooses where the agent works, and says what that means. */
export function EnvironmentField({ value, environments, onChange, problem }: EnvironmentFieldProps) {
  const chosen = environments.find((environment) => environment.id === value);
  return (
    <Field label="Environment" problem={problem} note={noteOf(value, chosen)}>
      {(control) => (
        <Choice
          control={control}
          value={value}
          onChange={onChange}
          options={[
            { value: DEFAULT, label: "Default", note: "" },
            ...environments
              .filter((environment) => !isDefaultEnvironment(environment))
              .map(({ id, name }) => ({ value: id, label: name, note: "" })),
            ...(value === DEFAULT || value === NEW_ENVIRONMENT || chosen !== undefined
              ? []
              : [{ value, label: "The one chosen last", note: "" }]),
            { value: NEW_ENVIRONMENT, label: "New environment…", note: "" },
          ]}
          testId="environment"
        />
      )}
    </Field>
  );
}

function noteOf(value: string, environment: BetaEnvironment | undefined): string | undefined {
  if (value === NEW_ENVIRONMENT) return "Set up below.";
  if (value !== DEFAULT && environment === undefined) return undefined;
  if (environment === undefined)
    return "A container where an engine answers. Reaches package registries, nothing else.";
  const provider = settingOf(environment, "provider");
  const parts = [
    provider === "" ? "Sandbox chosen by Longhaul" : sandboxTitle(provider),
    settingOf(environment, "image"),
    provider === "embedded" ? "no network" : `reaches ${networkOf(environment)}`,
    ...packagesOf(environment),
  ];
  return `${parts.filter((part) => part !== "").join("; ")}.`;
}
