/** A key, named as it is printed on the keyboard. */
export function Kbd({ children, subtle = false }: { children: string; subtle?: boolean }) {
  const look = subtle ? "border-current/25 text-current" : "border-line-strong/70 text-ink-3";
  return (
    <kbd
      className={`inline-flex h-4 min-w-4 items-center justify-center rounded-sm border px-1 font-sans text-[10px] leading-none ${look}`}
    >
      {children}
    </kbd>
  );
}
