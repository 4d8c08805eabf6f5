import { Tooltip } from "@base-ui/react/tooltip";
import type { ReactElement } from "react";
import { Kbd } from "./kbd.tsx";

interface TipProps {
  label: string;
  hint?: string;
  side?: "top" | "bottom" | "left" | "right";
  children: ReactElement;
}

/** A short explanation on hover and focus. `children` must be one element that takes a ref. */
export function Tip({ label, hint, side = "bottom", children }: TipProps) {
  return (
    <Tooltip.Root>
      <Tooltip.Trigger render={children} />
      <Tooltip.Portal>
        <Tooltip.Positioner side={side} sideOffset={6} className="z-50">
          <Tooltip.Popup className="flex max-w-80 items-center gap-2 rounded bg-raised px-2 py-1 text-small text-ink shadow-float">
            {label}
            {hint !== undefined && <Kbd>{hint}</Kbd>}
          </Tooltip.Popup>
        </Tooltip.Positioner>
      </Tooltip.Portal>
    </Tooltip.Root>
  );
}
