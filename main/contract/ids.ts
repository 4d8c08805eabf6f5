/** Identifiers: a type prefix and a ULID, so that ids of one kind sort by creation time. */

const PREFIXES = {
  agent: "agent_",
  environment: "env_",
  session: "sesn_",
  event: "sevt_",
  thread: "sthr_",
  session_resource: "sesrsc_",
  file: "file_",
  vault: "vlt_",
  credential: "vcrd_",
  skill: "skill_",
  skill_version: "skver_",
  memory_store: "memstore_",
  memory: "mem_",
  memory_version: "memver_",
  deployment: "depl_",
  deployment_run: "drun_",
  work: "work_",
  environment_key: "envkey_",
  outcome: "outc_",
  request: "req_",
  lease_holder: "lhh_",
} as const;

export type IdKind = keyof typeof PREFIXES;

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

let lastTime = 0;
let lastRandom = new Uint8Array(16);

/** Random bytes drawn in bulk: a call into the random source costs more than everything else about an id. */
const pool = new Uint8Array(2048);
let drawn = pool.length;

function randomBytes(): Uint8Array {
  if (drawn + 16 > pool.length) {
    crypto.getRandomValues(pool);
    drawn = 0;
  }
  drawn += 16;
  return pool.slice(drawn - 16, drawn);
}

/** 16 random values of 5 bits; within one millisecond the previous value plus one, so order is kept. */
function randomPart(time: number): Uint8Array {
  if (time === lastTime) {
    const next = Uint8Array.from(lastRandom);
    for (let i = 15; i >= 0; i--) {
      const digit = ((next[i] ?? 0) + 1) & 31;
      next[i] = digit;
      if (digit !== 0) break;
    }
    lastRandom = next;
    return next;
  }
  const fresh = randomBytes().map((byte) => byte & 31);
  lastTime = time;
  lastRandom = fresh;
  return fresh;
}

/**
 * A new id such as `sevt_01KAJ0…`: prefix, 10 characters of time in ms, 16 of randomness (Crockford base 32).
 * Ids made later in one process compare greater, also when the clock is set back.
 */
export function newId(kind: IdKind, now: number = Date.now()): string {
  const time = Math.max(now, lastTime);
  const random = randomPart(time);
  let head = "";
  let rest = time;
  for (let i = 0; i < 10; i++) {
    head = ALPHABET[rest % 32] + head;
    rest = Math.floor(rest / 32);
  }
  let tail = "";
  for (const digit of random) tail += ALPHABET[digit];
  return PREFIXES[kind] + head + tail;
}

/** True when `id` carries the prefix of `kind` and a plausible body. */
export function isId(kind: IdKind, id: string): boolean {
  return id.startsWith(PREFIXES[kind]) && /^[A-Za-z0-9]{1,64}$/.test(id.slice(PREFIXES[kind].length));
}
