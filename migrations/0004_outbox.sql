-- The log knows no noun, and has deliveries: one row for each endpoint that wants an event (docs/design.md).
-- STRICT columns cannot change their type in place, so the table is copied: 15 s for a million rows.

CREATE TABLE event_new (
  -- Order of commit and version of the resource. AUTOINCREMENT: a number is never used again.
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  -- UUIDv7; X-Event-Id of the response, `event_id` of the webhook.
  id TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  -- The webhook's type, as the gateway and receivers have it: created, invoice.paid, ping.
  type TEXT NOT NULL,
  occurred_at INTEGER NOT NULL,
  -- The noun's name, and which one; NULL for a ping.
  resource TEXT,
  resource_id TEXT,
  -- NULL: changes nothing (ping, failed, a test).
  change TEXT CHECK (change IN ('create', 'update', 'delete')),
  -- JSON after the change; NULL after a delete. Of a test event: the example that it sends.
  data TEXT,
  -- 1: a test event; its webhook says so.
  test INTEGER NOT NULL DEFAULT 0 CHECK (test IN (0, 1)),
  -- NULL: nothing to project. 0: KV may lack it. 1: KV has this change or a later one.
  projected INTEGER CHECK (projected IN (0, 1)),
  -- While KV may lack it: the lease of whoever projects it, or the time of the next try.
  due_at INTEGER,
  CHECK ((projected IS NULL) = (change IS NULL)),
  CHECK ((due_at IS NOT NULL) = (projected IS 0)),
  CHECK ((resource IS NULL) = (resource_id IS NULL)),
  CHECK (change IS NULL OR (resource IS NOT NULL AND test = 0 AND (data IS NULL) = (change = 'delete')))
) STRICT;

CREATE TABLE delivery (
  event_seq INTEGER NOT NULL,
  endpoint_id TEXT NOT NULL,
  owner TEXT NOT NULL,
  -- Of the event, so that a list can filter by it.
  type TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('pending', 'sending', 'held', 'delivered', 'failed', 'dead')),
  -- The key at the gateway is event_id.endpoint_id, or event_id.endpoint_id.n for the n-th time again.
  key_version INTEGER NOT NULL DEFAULT 0,
  -- The first key since the user's last resend: only what is learned of these keys counts.
  since_version INTEGER NOT NULL DEFAULT 0,
  -- How often a user had it sent again.
  resends INTEGER NOT NULL DEFAULT 0,
  -- Posts to the gateway that failed under the present key; those of them that were its own fault; when the last began.
  failures INTEGER NOT NULL DEFAULT 0,
  own_failures INTEGER NOT NULL DEFAULT 0,
  failed_at INTEGER,
  -- How often it was looked for since the gateway took the present key.
  looks INTEGER NOT NULL DEFAULT 0,
  -- How many keys the gateway took and never finished, and how many it discarded.
  stuck INTEGER NOT NULL DEFAULT 0,
  discards INTEGER NOT NULL DEFAULT 0,
  -- The gateway's tries under the present key, and the receiver's last answer, as far as known.
  attempts INTEGER NOT NULL DEFAULT 0,
  last_http_status INTEGER,
  error TEXT,
  -- When the gateway is known to have taken the present key.
  accepted_at INTEGER,
  finished_at INTEGER,
  -- pending: the lease of whoever posts it, or the time of the next try. sending: when to look for it.
  due_at INTEGER,
  PRIMARY KEY (event_seq, endpoint_id),
  CHECK ((due_at IS NOT NULL) = (status IN ('pending', 'sending'))),
  CHECK ((finished_at IS NOT NULL) = (status IN ('delivered', 'failed', 'dead'))),
  CHECK (status <> 'sending' OR accepted_at IS NOT NULL),
  CHECK (status NOT IN ('pending', 'held') OR accepted_at IS NULL),
  CHECK (since_version <= key_version)
) STRICT, WITHOUT ROWID;

INSERT INTO event_new (seq, id, owner, type, occurred_at, resource, resource_id, change, data, projected, due_at)
SELECT seq, id, owner, type, occurred_at, iif(todo_id IS NULL, NULL, 'todo'), CAST(todo_id AS TEXT),
  CASE type WHEN 'created' THEN 'create' WHEN 'updated' THEN 'update' WHEN 'deleted' THEN 'delete' END,
  todo, stored, iif(stored = 0, due_at, NULL)
FROM event;
-- The sequence goes on where it was, also if the last rows are purged.
INSERT OR IGNORE INTO event_new (seq, id, owner, type, occurred_at)
  SELECT seq, 'sequence', '', 'ping', 0 FROM sqlite_sequence WHERE name = 'event';
DELETE FROM event_new WHERE id = 'sequence';

-- What the gateway may lack is posted again under its new key, to its endpoint or to all that the owner has now.
INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, error, due_at, finished_at)
SELECT event.seq, endpoint.id, event.owner, event.type, event_status.status, event.error,
  iif(event_status.status = 'pending', event.occurred_at, NULL), iif(event_status.status = 'dead', coalesce(event.finished_at, event.occurred_at), NULL)
FROM event
JOIN endpoint ON endpoint.owner = event.owner AND endpoint.status <> 'creating'
  AND (event.endpoint_id IS NULL OR event.endpoint_id = endpoint.id)
JOIN (SELECT 'pending' AS status, 'pending' AS state UNION ALL SELECT 'pending', 'accepted' UNION ALL SELECT 'dead', 'dead')
  AS event_status ON event_status.state = event.state;
-- Of an endpoint that its owner no longer has: a dead delivery says that the event was not delivered.
INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, error, finished_at)
SELECT seq, endpoint_id, owner, type, 'dead', coalesce(error, 'The endpoint was removed.'), coalesce(finished_at, occurred_at)
FROM event WHERE state <> 'confirmed' AND endpoint_id IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM endpoint WHERE id = event.endpoint_id AND owner = event.owner AND status <> 'creating');
-- What an endpoint missed while it was paused or disabled, or what was still to be brought back to it, is held.
INSERT INTO delivery (event_seq, endpoint_id, owner, type, status)
SELECT event.seq, missed.id, event.owner, event.type, 'held'
FROM (
  SELECT id, owner, min(since) AS since FROM (
    SELECT endpoint.id, endpoint.owner, recovery.since FROM endpoint JOIN recovery ON recovery.endpoint_id = endpoint.id
    UNION ALL
    SELECT id, owner, coalesce(paused_at, updated_at) FROM endpoint WHERE status IN ('paused', 'pausing', 'activating', 'inactive')
  ) GROUP BY id
) AS missed
JOIN event ON event.owner = missed.owner AND event.occurred_at >= missed.since
  AND (event.endpoint_id IS NULL OR event.endpoint_id = missed.id)
WHERE event.state = 'confirmed';
-- Nothing is posted to an endpoint that is not active: it is held.
UPDATE delivery SET status = 'held', due_at = NULL WHERE status = 'pending'
  AND endpoint_id IN (SELECT id FROM endpoint WHERE status <> 'active');

DROP TABLE recovery;
DROP TABLE delivery_walk;
DROP TABLE reposted;
DROP TABLE event;
ALTER TABLE event_new RENAME TO event;

-- The latest change of a resource (commit, projection, purge).
CREATE INDEX event_resource ON event (owner, resource, resource_id, seq) WHERE change IS NOT NULL;
-- What KV may lack, owner by owner.
CREATE INDEX event_unprojected ON event (owner, due_at) WHERE projected = 0;
-- The log as an API, newest first.
CREATE INDEX event_owner ON event (owner, seq);

-- A delivery costs a write for each index that it enters: three when it is made, two when it is sent, one when it is delivered.
CREATE INDEX delivery_pending ON delivery (owner, due_at) WHERE status = 'pending';
CREATE INDEX delivery_sending ON delivery (owner, due_at) WHERE status = 'sending';
CREATE INDEX delivery_held ON delivery (endpoint_id, event_seq) WHERE status = 'held';
CREATE INDEX delivery_failed ON delivery (owner, status, event_seq) WHERE status IN ('failed', 'dead');
CREATE INDEX delivery_owner ON delivery (owner, event_seq);

-- Where the cron is: one row.
CREATE TABLE cron_state_new (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- The walk of the gateway's deliveries: everything before `walk_since` (ms) is done; from there to `walk_until`
  -- it stands at the gateway's cursor. `walk_until` NULL: no window is open.
  walk_since INTEGER,
  walk_until INTEGER,
  walk_cursor TEXT,
  -- JSON list of the endpoints that the window is about; NULL: all.
  walk_endpoints TEXT,
  -- How often in a row the page there could not be read.
  walk_failures INTEGER NOT NULL DEFAULT 0,
  -- The owner at which the last turn ended: of posting, of looking up, of projecting.
  post_turn TEXT NOT NULL DEFAULT '',
  look_up_turn TEXT NOT NULL DEFAULT '',
  project_turn TEXT NOT NULL DEFAULT '',
  -- Open: the gateway took nothing; not before `breaker_until` (ms), if it asked us to wait.
  breaker TEXT NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open')),
  breaker_until INTEGER NOT NULL DEFAULT 0,
  -- The scrub has compared KV with every change up to this event id.
  scrub_after TEXT NOT NULL DEFAULT '',
  -- The purge goes on after this seq; 0: from the beginning of the log.
  purge_after INTEGER NOT NULL DEFAULT 0,
  -- The report of the last run, as it was logged.
  last_report TEXT,
  CHECK (walk_until IS NULL OR walk_since IS NOT NULL),
  CHECK (walk_cursor IS NULL OR walk_until IS NOT NULL)
) STRICT;
INSERT INTO cron_state_new (id, scrub_after, purge_after) SELECT id, scrub_after, purge_after FROM cron_state;
DROP TABLE cron_state;
ALTER TABLE cron_state_new RENAME TO cron_state;
