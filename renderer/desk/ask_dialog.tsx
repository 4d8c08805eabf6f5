import { useEffect, useState } from "react";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";

interface AskDialogProps {
  open: boolean;
  title: string;
  text?: string;
  field?: { label: string; value: string };
  action: string;
  danger?: boolean;
  onClose: () => void;
  /** Called with the text of the field, or an empty one. */
  onDone: (value: string) => void;
}

/** Asks for a text, or for a yes. */
export function AskDialog({ open, title, text, field, action, danger = false, onClose, onDone }: AskDialogProps) {
  const [value, setValue] = useState("");
  const initial = field?.value ?? "";
  useEffect(() => {
    if (open) setValue(initial);
  }, [open, initial]);
  const done = (): void => {
    onClose();
    onDone(value.trim());
  };
  return (
    <Dialog open={open} onClose={onClose} title={title} testId="ask-dialog">
      <form
        className="space-y-4 p-4"
        onSubmit={(event) => {
          event.preventDefault();
          done();
        }}
      >
        {text !== undefined && <p className="text-ink-2">{text}</p>}
        {field !== undefined && (
          <label className="block space-y-1">
            <span className="text-ink-2">{field.label}</span>
            <input
              value={value}
              maxLength={256}
              onChange={(event) => setValue(event.target.value)}
              className="h-8 w-full rounded border border-line-strong bg-raised px-2"
            />
          </label>
        )}
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Cancel</Button>
          <Button
            type="submit"
            look={danger ? "danger" : "primary"}
            disabled={field !== undefined && value.trim() === ""}
          >
            {action}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
