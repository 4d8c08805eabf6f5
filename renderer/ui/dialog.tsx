import { Dialog as Base } from "@base-ui/react/dialog";
import { X } from "lucide-react";
import { type ReactNode, useCallback, useRef } from "react";
import { IconButton } from "./button.tsx";

const PLACES = {
  center: "top-[12vh] left-1/2 max-h-[76vh] w-[min(640px,calc(100vw-32px))] -translate-x-1/2 rounded-lg",
  left: "inset-y-0 left-0 w-[min(320px,calc(100vw-48px))]",
  wide: "inset-x-[max(24px,4vw)] inset-y-6 rounded-lg",
  right: "inset-y-0 right-0 w-[min(480px,calc(100vw-24px))]",
} as const;

interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  place?: keyof typeof PLACES;
  /** False where the content shows the title itself. */
  showTitle?: boolean;
  testId?: string;
  children: ReactNode;
}

/** A dialog, drawer or sheet: keeps the focus inside, closes with Esc, gives the focus back. */
export function Dialog({ open, onClose, title, place = "center", showTitle = true, testId, children }: DialogProps) {
  const popup = useRef<HTMLDivElement>(null);
  // Without something better to begin with, the dialog itself has the focus: not its close button.
  const focus = useCallback((): HTMLElement | true => {
    const wanted = popup.current?.querySelector<HTMLElement>("input, textarea, [data-autofocus]");
    return wanted ?? popup.current ?? true;
  }, []);
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-30 bg-[var(--scrim)]" />
        <Base.Popup
          data-testid={testId}
          ref={popup}
          initialFocus={focus}
          className={`fixed z-40 flex flex-col overflow-hidden bg-panel text-ink shadow-float outline-none ${PLACES[place]}`}
        >
          <div
            className={showTitle ? "flex h-11 shrink-0 items-center gap-2 border-b border-line pr-2 pl-4" : "sr-only"}
          >
            <Base.Title className="flex-1 truncate text-lead font-semibold">{title}</Base.Title>
            {showTitle && (
              <IconButton label="Close" hint="Esc" onClick={onClose}>
                <X size={16} aria-hidden />
              </IconButton>
            )}
          </div>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
