/** Bytes in both directions between two open connections, until both are through, one breaks, or both fall silent. */
import type { Duplex } from "node:stream";

/** @param onEnd called once, when both are closed or being closed */
export function joinTunnel(
  client: Duplex,
  upstream: Duplex,
  limits: { idleMs: number; halfOpenMs: number },
  onEnd: () => void,
): void {
  let over = false;
  const end = () => {
    if (over) return;
    over = true;
    clearTimeout(idle);
    client.destroy();
    upstream.destroy();
    onEnd();
  };
  let idle = setTimeout(end, limits.idleMs);
  const oneSideEnded = () => {
    if (over) return;
    clearTimeout(idle);
    // What the other side still has to say may flow; a side that never ends must not keep the place.
    idle = setTimeout(end, limits.halfOpenMs);
  };
  const sides = [
    [client, upstream],
    [upstream, client],
  ] as const;
  for (const [from, to] of sides) {
    from.on("data", () => idle.refresh());
    from.on("end", oneSideEnded);
    from.on("error", end);
    // Closed in order means: it said its last and heard the other's last. Anything else breaks the tunnel off.
    from.on("close", () => (from.readableEnded && !to.closed ? undefined : end()));
    from.pipe(to);
  }
}
