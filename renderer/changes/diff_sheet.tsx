/** All changes of one repository side by side with their list: room to read, and only what is on screen is drawn. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronRight } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import type { RepositoryChanges } from "../../main/contract/local_api.ts";
import { folderName } from "../desk/facts.tsx";
import { plural } from "../format/numbers.ts";
import { toggled } from "../store/kept/prefs.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Scroll } from "../ui/scroll.tsx";
import { DiffLine } from "./diff_line.tsx";
import { FileLine } from "./file_line.tsx";
import { type DiffItem, FlatDiff, foldedAtFirst } from "./flat_diff.ts";

interface DiffSheetProps {
  changes: RepositoryChanges;
  sections: ReadonlyMap<string, string>;
  /** Path of the file to begin with; null: closed. */
  at: string | null;
  onClose: () => void;
}

export function DiffSheet({ changes, sections, at, onClose }: DiffSheetProps) {
  const title = `${folderName(changes.path)}: ${plural(changes.files.length, "changed file")}`;
  return (
    <Dialog open={at !== null} onClose={onClose} title={title} place="wide" testId="diff-sheet">
      {at !== null && <Sheet changes={changes} sections={sections} at={at} />}
    </Dialog>
  );
}

const FILE_HEIGHT = 28;
const LINE_HEIGHT = 18;

function Sheet({
  changes,
  sections,
  at,
}: {
  changes: RepositoryChanges;
  sections: ReadonlyMap<string, string>;
  at: string;
}) {
  const { files } = changes;
  const [folded, setFolded] = useState<ReadonlySet<string>>(() => without(foldedAtFirst(files), at));
  const diff = useMemo(() => new FlatDiff(files, sections), [files, sections]);
  const items = useMemo(() => diff.items(folded), [diff, folded]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => (items[index]?.kind === "file" ? FILE_HEIGHT : LINE_HEIGHT),
    getItemKey: (index) => items[index]?.id ?? index,
    overscan: 20,
  });
  const [wanted, setWanted] = useState<string | null>(at);
  useEffect(() => {
    if (wanted === null) return;
    const index = items.findIndex((item) => item.kind === "file" && item.id === wanted);
    if (index >= 0) virtualizer.scrollToIndex(index, { align: "start" });
    setWanted(null);
  }, [wanted, items, virtualizer]);
  const shown = virtualizer.getVirtualItems();
  const top = shown.find((item) => item.end > (virtualizer.scrollOffset ?? 0));
  const current = top === undefined ? at : (items[top.index]?.file.path ?? at);
  const show = (path: string): void => {
    setFolded((before) => without(before, path));
    setWanted(path);
  };
  return (
    <div className="flex min-h-0 flex-1">
      <FileList files={files} current={current} onShow={show} />
      <Scroll
        ref={scroller}
        label="Changes"
        className="min-w-0 flex-1 outline-offset-[-2px]"
        data-testid="diff-lines"
        data-autofocus
      >
        <div className="relative font-mono text-small leading-[18px]" style={{ height: virtualizer.getTotalSize() }}>
          {shown.map((item) => {
            const entry = items[item.index];
            if (entry === undefined) return null;
            return (
              <div
                key={item.key}
                ref={virtualizer.measureElement}
                data-index={item.index}
                className="absolute inset-x-0 [contain:layout_style]"
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <Item item={entry} onFold={() => setFolded((before) => toggled(before, entry.file.path))} />
              </div>
            );
          })}
        </div>
      </Scroll>
    </div>
  );
}

function without(set: ReadonlySet<string>, value: string): ReadonlySet<string> {
  return set.has(value) ? toggled(set, value) : set;
}

function Item({ item, onFold }: { item: DiffItem; onFold: () => void }) {
  switch (item.kind) {
    case "file":
      return (
        <button
          type="button"
          aria-expanded={item.open}
          onClick={onFold}
          className="flex h-7 w-full items-center gap-2 border-y border-line bg-hover px-3 text-left font-sans text-base outline-offset-[-2px] hover:bg-selected"
        >
          <ChevronRight size={12} aria-hidden className={`shrink-0 text-ink-3 ${item.open ? "rotate-90" : ""}`} />
          <FileLine file={item.file} />
        </button>
      );
    case "hunk":
      return <p className="truncate px-3 text-ink-3">{item.text}</p>;
    case "note":
      return <p className="px-8 py-1 font-sans text-ink-2">{item.text}</p>;
    case "line":
      return <DiffLine line={item.line} wide />;
  }
}

interface FileListProps {
  files: RepositoryChanges["files"];
  current: string;
  onShow: (path: string) => void;
}

function FileList({ files, current, onShow }: FileListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: files.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => FILE_HEIGHT,
    overscan: 10,
  });
  return (
    <Scroll
      ref={scroller}
      label="Files"
      className="w-[min(320px,32%)] shrink-0 border-r border-line outline-offset-[-2px] max-[700px]:hidden"
    >
      <ul className="relative" style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map((item) => {
          const file = files[item.index];
          if (file === undefined) return null;
          const here = file.path === current;
          return (
            <li
              key={item.key}
              aria-setsize={files.length}
              aria-posinset={item.index + 1}
              className="absolute inset-x-0"
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <button
                type="button"
                aria-current={here}
                data-testid="sheet-file"
                onClick={() => onShow(file.path)}
                className={`flex h-7 w-full items-center gap-2 px-3 text-left outline-offset-[-2px] ${here ? "bg-selected" : "hover:bg-hover"}`}
              >
                <FileLine file={file} />
              </button>
            </li>
          );
        })}
      </ul>
    </Scroll>
  );
}
