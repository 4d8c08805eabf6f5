import { ChevronRight } from "lucide-react";
import type { ReactNode } from "react";

interface LineFrameProps {
  id: string;
  selected: boolean;
  /** Whether the row's body is shown; absent for lines without one. */
  opened?: boolean;
  fold: { unfolded: boolean; label: string; onFold: () => void } | null;
  onSelect: () => void;
  onOpen: () => void;
  data: Record<string, string>;
  children: ReactNode;
}

/** One line of the list: a button that selects it, and beside it the one that folds what is under it. */
export function LineFrame({ id, selected, opened, fold, onSelect, onOpen, data, children }: LineFrameProps) {
  return (
    <div className={`group/line relative flex items-center pl-1.5 ${selected ? "bg-selected" : "hover:bg-hover"}`}>
      {selected && <span className="absolute inset-y-0 left-0 w-0.5 bg-ink-2" aria-hidden />}
      {fold === null ? (
        <span className="w-5 shrink-0" />
      ) : (
        <button
          type="button"
          tabIndex={-1}
          aria-label={`${fold.unfolded ? "Fold" : "Unfold"} ${fold.label}`}
          aria-expanded={fold.unfolded}
          onClick={fold.onFold}
          className="flex size-5 shrink-0 items-center justify-center rounded-sm text-ink-3 hover:bg-selected"
        >
          <ChevronRight
            size={12}
            aria-hidden
            className={`transition-transform duration-100 ${fold.unfolded ? "rotate-90" : ""}`}
          />
        </button>
      )}
      <button
        type="button"
        id={`line-${id}`}
        tabIndex={selected ? 0 : -1}
        aria-current={selected}
        {...(opened === undefined ? {} : { "aria-expanded": opened })}
        {...data}
        onClick={onSelect}
        onDoubleClick={onOpen}
        className="min-w-0 flex-1 text-left outline-offset-[-2px] select-none"
      >
        {children}
      </button>
    </div>
  );
}
