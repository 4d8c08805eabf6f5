/** The words about times of a schedule that passed without a run. */

export interface Gap {
  first: number;
  last: number;
  /** Times in the gap; `capped` when there are more. */
  count: number;
  capped: boolean;
  /** True when this engine was not running yet at the first of them. */
  before_start: boolean;
}

/** One sentence per fact: how many, from when to when, why, and that nothing makes up for them. */
export function gapMessage(gap: Gap): string {
  const why = gap.before_start
    ? "because Longhaul was not running"
    : "because this machine was asleep or switched its clock forward, or Longhaul could not work";
  const from = iso(gap.first);
  const what =
    gap.count === 1 && !gap.capped
      ? `The scheduled run of ${from} was missed ${why}.`
      : `${gap.capped ? "More than " : ""}${gap.count} scheduled runs ${gap.capped ? `since ${from}` : `from ${from} to ${iso(gap.last)}`} were missed ${why}.`;
  return `${what} This record stands for all of them. Missed runs are not made up for; run the deployment by hand if one is wanted.`;
}

const iso = (ms: number): string => new Date(ms).toISOString();
