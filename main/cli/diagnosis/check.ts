/** One finding of `longhaul doctor`. */
export interface Finding {
  name: string;
  state: "ok" | "warn" | "fail";
  /** What was found, one line. */
  found: string;
  /** What to do about it, or what works without it; null when nothing is to do. */
  advice: string | null;
}

export function ok(name: string, found: string, advice: string | null = null): Finding {
  return { name, state: "ok", found, advice };
}

export function warn(name: string, found: string, advice: string): Finding {
  return { name, state: "warn", found, advice };
}

export function fail(name: string, found: string, advice: string): Finding {
  return { name, state: "fail", found, advice };
}
