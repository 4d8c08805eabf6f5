/** The ledger's schema as numbered steps. A step that was released is never edited: a change is a new step (L11). */

export interface Migration {
  /** Value of `user_version` after this step. */
  version: number;
  sql: string;
}

/** Marks our files: "LONG" in ASCII. */
export const APPLICATION_ID = 0x4c4f4e47;

/**
 * `events.pos` is the session's number × 2^30 + seq: a session's events lie side by side in the table, in order, and
 * are found by position without any index. JavaScript's integers hold this for eight million sessions.
 */
export const SEQ_BITS = 30;

/** Also run when the index is made anew: a damaged one cannot be emptied. */
export const CREATE_SEARCH_INDEX =
  "CREATE VIRTUAL TABLE search_index USING fts5 (text, content = '', contentless_delete = 1)";

const V1 = `
CREATE TABLE session_keys (
  no INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE events (
  pos INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  thread_id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  event TEXT NOT NULL,
  bodies TEXT,
  hash TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_id ON events (pos >> 30, id);

-- A session that a person deletes right now; the only rows whose events may go.
CREATE TABLE deleting (session_no INTEGER PRIMARY KEY) STRICT;
CREATE TRIGGER events_are_not_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are only appended, never changed'); END;
CREATE TRIGGER events_are_not_removed BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM deleting WHERE session_no = OLD.pos >> 30)
BEGIN SELECT RAISE(ABORT, 'events are only appended, never removed'); END;

CREATE TABLE leases (
  session_no INTEGER PRIMARY KEY,
  holder TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  pid INTEGER NOT NULL,
  pid_started_at REAL NOT NULL,
  token INTEGER NOT NULL,
  acquired_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  released INTEGER NOT NULL
) STRICT;
CREATE INDEX leases_held ON leases (session_no) WHERE released = 0;

-- From here on: projections, rebuilt from the events at will (L10).
CREATE TABLE sessions (
  no INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  agent_version INTEGER NOT NULL,
  deployment_id TEXT,
  archived_at TEXT,
  unfinished INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  fold TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_creation ON sessions (created_at, id);
CREATE INDEX sessions_unfinished ON sessions (no) WHERE unfinished = 1;

-- The part of the fold that hardly changes and may be large: agent, resources, metadata.
CREATE TABLE session_snapshots (session_no INTEGER PRIMARY KEY, snapshot TEXT NOT NULL) STRICT;

-- Queued client events: where the contract lists them.
CREATE TABLE inputs (
  pos INTEGER PRIMARY KEY,
  place INTEGER NOT NULL,
  place_index INTEGER NOT NULL,
  processed_at TEXT
) STRICT;
CREATE INDEX inputs_by_place ON inputs (place, place_index);

-- Events per minute and lane, for the overview of a long timeline.
CREATE TABLE minutes (
  session_no INTEGER NOT NULL,
  minute INTEGER NOT NULL,
  lane TEXT NOT NULL,
  events INTEGER NOT NULL,
  PRIMARY KEY (session_no, minute, lane)
) STRICT, WITHOUT ROWID;

${CREATE_SEARCH_INDEX};
CREATE TABLE index_progress (session_no INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT;

-- What made the projections: see Projector.
CREATE TABLE projections (made_by TEXT NOT NULL) STRICT;
INSERT INTO projections VALUES ('');

-- The catalog: agents, environments, files.
CREATE TABLE agents (
  id TEXT PRIMARY KEY,
  created_at TEXT NOT NULL,
  archived_at TEXT,
  version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX agents_by_creation ON agents (created_at, id);
CREATE TABLE agent_versions (
  id TEXT NOT NULL,
  version INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (id, version)
) STRICT;
CREATE TABLE environments (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_at TEXT NOT NULL,
  archived_at TEXT,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX environments_by_creation ON environments (created_at, id);
CREATE INDEX environments_by_name ON environments (name);
CREATE TABLE files (
  id TEXT PRIMARY KEY,
  scope_id TEXT,
  created_at TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT;
CREATE INDEX files_by_creation ON files (created_at, id);
CREATE INDEX files_by_scope ON files (scope_id, created_at, id);
`;

/** The API's other resources: see `records/records.ts`. */
const V2 = `
CREATE TABLE records (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  scope TEXT NOT NULL,
  key TEXT,
  state TEXT,
  created_at TEXT NOT NULL,
  archived_at TEXT,
  revision INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX records_by_key ON records (kind, scope, key) WHERE key IS NOT NULL;
CREATE INDEX records_by_creation ON records (kind, created_at, id);
CREATE INDEX records_by_scope ON records (kind, scope, created_at, id);
`;

export const MIGRATIONS: readonly Migration[] = [
  { version: 1, sql: V1 },
  { version: 2, sql: V2 },
];
