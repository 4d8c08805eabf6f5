/** Random numbers that a seed repeats: a failing run prints its seed, and `LONGHAUL_SEED` runs it again. */

export const seed = Number(process.env["LONGHAUL_SEED"] ?? Date.now() % 1_000_000);

/** Uniform in [0, 1) from `state` on (mulberry32). */
export function randomFrom(state: number): () => number {
  let s = state;
  return () => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
