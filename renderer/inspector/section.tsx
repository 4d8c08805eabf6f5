import type { ReactNode } from "react";

/** A part of the inspector under a small heading. */
export function Section({ title, aside, children }: { title: string; aside?: ReactNode; children: ReactNode }) {
  return (
    <section className="border-b border-line px-4 py-3 last:border-b-0">
      <div className="mb-1.5 flex min-h-5 items-center gap-2">
        <h3 className="flex-1 text-meta font-medium text-ink-2">{title}</h3>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** Names and values in two columns; a value that is missing is left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="num grid grid-cols-[112px_1fr] gap-x-3 gap-y-1 px-4 py-3">
      {facts
        .filter(([, value]) => value !== null && value !== "" && value !== undefined)
        .map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-ink-3">{name}</dt>
            <dd className="min-w-0 [overflow-wrap:anywhere]">{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** A sentence where there is nothing to show yet, and why. */
export function Nothing({ children }: { children: ReactNode }) {
  return <p className="px-4 py-6 text-ink-2">{children}</p>;
}

/** The heading of one of several parts of a tab; `busy`: what is shown is being read again. */
export function Heading({ title, busy }: { title: string; busy: boolean }) {
  return (
    <h3 className="flex gap-2 px-4 pt-3 pb-1 text-meta font-medium text-ink-2">
      {title}
      {busy && <span className="font-normal text-ink-3">reading again…</span>}
    </h3>
  );
}

/** A sentence under such a heading where there is nothing to show yet, and why. */
export function Note({ children }: { children: ReactNode }) {
  return <p className="px-4 pt-1 pb-4 text-ink-2">{children}</p>;
}
