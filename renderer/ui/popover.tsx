import { Popover as Base } from "@base-ui/react/popover";
import type { ReactElement, ReactNode } from "react";

interface PopoverProps {
  /** The element that opens it: one that takes a ref. */
  trigger: ReactElement;
  title: string;
  testId?: string;
  children: ReactNode;
}

/** Details beside the element that opens them: takes the focus, closes with Esc, gives the focus back. */
export function Popover({ trigger, title, testId, children }: PopoverProps) {
  return (
    <Base.Root>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner sideOffset={6} align="start" className="z-40">
          <Base.Popup
            data-testid={testId}
            className="max-h-[min(70vh,var(--available-height))] w-[400px] max-w-[calc(100vw-24px)] overflow-y-auto rounded-lg bg-raised text-ink shadow-float outline-none"
          >
            <Base.Title className="px-4 pt-3 font-semibold">{title}</Base.Title>
            {children}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
