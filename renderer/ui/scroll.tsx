import type { ComponentProps } from "react";

// A region that scrolls must be reachable by keyboard, although nothing in it takes input.
const REACHABLE = { tabIndex: 0 };

interface ScrollProps extends ComponentProps<"section"> {
  /** What the region holds, for people who do not see it. */
  label: string;
}

/** A scrolling region with a name. */
export function Scroll({ label, className = "", ...rest }: ScrollProps) {
  return <section aria-label={label} {...REACHABLE} {...rest} className={`overflow-auto ${className}`} />;
}
