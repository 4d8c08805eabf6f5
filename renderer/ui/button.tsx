import type { ComponentProps, ReactNode } from "react";
import { Kbd } from "./kbd.tsx";
import { Tip } from "./tip.tsx";

const LOOKS = {
  primary: "bg-accent text-accent-ink font-medium hover:brightness-105 active:brightness-95",
  plain: "border border-line-strong/70 bg-raised text-ink hover:bg-hover active:bg-selected",
  ghost: "text-ink-2 hover:bg-hover hover:text-ink active:bg-selected",
  danger: "border border-bad/50 bg-raised text-bad hover:bg-bad-soft",
} as const;

interface ButtonProps extends ComponentProps<"button"> {
  look?: keyof typeof LOOKS;
  icon?: ReactNode;
  /** Shown as a hint; the key itself is handled by the screen. */
  hint?: string;
}

export function Button({ look = "plain", icon, hint, className = "", children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`inline-flex h-7 shrink-0 items-center gap-1.5 rounded px-2.5 whitespace-nowrap transition-[background,filter] duration-100 disabled:pointer-events-none disabled:opacity-50 ${LOOKS[look]} ${className}`}
    >
      {icon}
      {children}
      {hint !== undefined && <Kbd subtle={look === "primary"}>{hint}</Kbd>}
    </button>
  );
}

interface IconButtonProps extends Omit<ComponentProps<"button">, "aria-label"> {
  label: string;
  hint?: string;
}

/** A button with an icon only: its label is its name and its tooltip. */
export function IconButton({ label, hint, className = "", children, ...rest }: IconButtonProps) {
  return (
    <Tip label={label} {...(hint === undefined ? {} : { hint })}>
      <button
        type="button"
        aria-label={label}
        {...rest}
        className={`inline-flex size-7 shrink-0 items-center justify-center rounded text-ink-2 transition-colors duration-100 hover:bg-hover hover:text-ink active:bg-selected disabled:opacity-40 ${className}`}
      >
        {children}
      </button>
    </Tip>
  );
}
