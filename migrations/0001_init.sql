-- The event log. Inserting a row IS the commit of a change: one statement decides whether the
-- change is legal, merges it into the latest state and writes its event (docs/design.md).
CREATE TABLE event (
  -- Order of commit and version of the todo. AUTOINCREMENT: a number is never used again.
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  -- UUIDv7; the idempotency key at Convoy, X-Event-Id of the answer.
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  type TEXT NOT NULL CHECK (type IN ('ping', 'created', 'updated', 'deleted', 'failed')),
  -- NULL: fan out to all of the owner's endpoints.
  endpoint_id TEXT,
  occurred_at INTEGER NOT NULL,
  todo_id INTEGER,
  -- The todo's JSON after the change; NULL for deleted, failed and ping.
  todo TEXT,
  -- NULL: not a change. 0: KV not confirmed. 1: KV holds this change or a later one.
  stored INTEGER CHECK (stored IN (0, 1)),
  state TEXT NOT NULL DEFAULT 'pending'
    CHECK (state IN ('pending', 'accepted', 'confirmed', 'dead')),
  -- Failed tries that count against the event itself (an outage counts against nobody).
  attempts INTEGER NOT NULL DEFAULT 0,
  -- How often it was posted under a new key; the key at Convoy is id, or id:replays.
  replays INTEGER NOT NULL DEFAULT 0,
  error TEXT,
  accepted_at INTEGER,
  finished_at INTEGER,
  -- NULL: finished. Else the lease of whoever works on the row, or the time of the next try.
  due_at INTEGER,
  CHECK ((stored IS NULL) = (type IN ('ping', 'failed'))),
  CHECK ((due_at IS NULL) = (finished_at IS NOT NULL)),
  CHECK (due_at IS NOT NULL OR (state <> 'pending' AND stored IS NOT 0)),
  CHECK ((accepted_at IS NULL) OR state IN ('accepted', 'confirmed', 'dead'))
) STRICT;

-- The latest change of a todo (commit, projection, purge).
CREATE INDEX event_todo ON event (owner, todo_id, seq) WHERE stored IS NOT NULL;
-- What the sweeper has to post or project, and what it has to audit.
CREATE INDEX event_due ON event (due_at)
  WHERE due_at IS NOT NULL AND (state = 'pending' OR stored = 0);
CREATE INDEX event_audit ON event (due_at) WHERE due_at IS NOT NULL AND state = 'accepted';
-- The log as an API, newest first.
CREATE INDEX event_owner ON event (owner, seq);
-- What may be purged.
CREATE INDEX event_finished ON event (finished_at) WHERE finished_at IS NOT NULL;

-- What we know of each endpoint. Convoy has the endpoint; no secret is ever stored here.
CREATE TABLE endpoint (
  -- Convoy's uid; while `creating` an id of ours, since Convoy has not answered yet.
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  url TEXT NOT NULL,
  description TEXT NOT NULL,
  http_timeout_s INTEGER NOT NULL,
  status TEXT NOT NULL
    CHECK (status IN ('creating', 'active', 'pausing', 'paused', 'activating', 'inactive', 'missing')),
  subscription_id TEXT,
  paused_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX endpoint_owner ON endpoint (owner, id);
