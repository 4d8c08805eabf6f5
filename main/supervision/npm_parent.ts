/**
 * Started by `npm run`, this process stands below a shell below npm, and npm hands no signal down: a SIGTERM ends npm and
 * the shell and would leave the engine behind, still holding its data directory.
 */

const EVERY_MS = 100;

/**
 * Calls `onGone` once when the parent is gone, if npm started this process; a process started in another way may outlive
 * its parent. Never keeps the process alive.
 * @param parent id of the parent now: it changes when the parent dies
 */
export function whenNpmIsGone(
  env: Readonly<Record<string, string | undefined>>,
  parent: () => number,
  onGone: () => void,
): void {
  if (env.npm_lifecycle_event === undefined) return;
  const first = parent();
  const timer = setInterval(() => {
    if (parent() === first) return;
    clearInterval(timer);
    onGone();
  }, EVERY_MS);
  timer.unref();
}
