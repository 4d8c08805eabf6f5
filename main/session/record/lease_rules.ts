/** When a lease may be taken, alike in every adapter (L4). */
import type { EventDraft, WakeReason } from "../../contract/events.ts";
import type { Holder, Lease } from "../ledger.ts";

/** The newest lease of a session, released or not. */
export interface LeaseRow {
  holder: string;
  boot_id: string;
  pid: number;
  pid_started_at: number;
  token: number;
  acquired_at: number;
  expires_at: number;
  released: boolean;
}

/** Tells whether the process that holds a lease still lives. */
export type IsHolderAlive = (holder: Holder) => boolean;

/** Holder of a lease, as the predicate takes it. */
function holderOf(row: LeaseRow): Holder {
  return { id: row.holder, boot_id: row.boot_id, pid: row.pid, pid_started_at: row.pid_started_at };
}

/** The lease if it is held now by a process that lives; null otherwise. */
export function liveLease(row: LeaseRow | null, now: number, isAlive: IsHolderAlive): SessionLease {
  if (row === null || row.released || row.expires_at <= now || !isAlive(holderOf(row))) return null;
  return { holder: row.holder, token: row.token, expires_at: row.expires_at };
}

type SessionLease = Pick<Lease, "holder" | "token" | "expires_at"> | null;

/** What `holder` gets now, and the event that records it; null while another process lives and holds the session. */
export function takeLease(
  sessionId: string,
  current: LeaseRow | null,
  holder: Holder,
  now: number,
  ttlMs: number,
  reason: WakeReason,
  isAlive: IsHolderAlive,
): { row: LeaseRow; lease: Lease; event: EventDraft } | null {
  const rebooted = current !== null && current.boot_id !== holder.boot_id;
  if (!rebooted && liveLease(current, now, isAlive) !== null) return null;
  const token = (current?.token ?? 0) + 1;
  const takenOverFrom = current === null || current.released ? null : current.holder;
  const row: LeaseRow = {
    holder: holder.id,
    boot_id: holder.boot_id,
    pid: holder.pid,
    pid_started_at: holder.pid_started_at,
    token,
    acquired_at: now,
    expires_at: now + ttlMs,
    released: false,
  };
  return {
    row,
    lease: {
      session_id: sessionId,
      holder: holder.id,
      token,
      expires_at: row.expires_at,
      taken_over_from: takenOverFrom,
    },
    event: {
      type: "longhaul.lease_acquired",
      holder: holder.id,
      token,
      boot_id: holder.boot_id,
      pid: holder.pid,
      reason,
      taken_over_from: takenOverFrom,
    },
  };
}

/** True when `token` is the session's newest lease and it was not released. */
export function holdsLease(row: LeaseRow | null, token: number): boolean {
  return row !== null && row.token === token && !row.released;
}

/** Default test of a holder: a process with its pid exists on this machine and did not merely get its number. */
export function processLives(holder: Holder): boolean {
  if (holder.pid === process.pid) {
    const ownStart = Date.now() - process.uptime() * 1000;
    return Math.abs(ownStart - holder.pid_started_at) < 5000;
  }
  try {
    process.kill(holder.pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
