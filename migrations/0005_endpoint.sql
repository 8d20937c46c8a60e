-- An endpoint's record says what is wanted, what was last applied at Convoy and what was last seen there; reconcile
-- makes Convoy as it is wanted (docs/design.md).
CREATE TABLE endpoint_new (
  -- Convoy's uid; of a creation that Convoy has not answered yet, an id of ours.
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  -- Wanted. creating: no caller sees it yet. removed: kept for a while, so that a restored Convoy does not bring it back.
  wanted TEXT NOT NULL CHECK (wanted IN ('creating', 'active', 'paused', 'removed')),
  name TEXT NOT NULL,
  url TEXT NOT NULL,
  description TEXT NOT NULL,
  http_timeout_s INTEGER NOT NULL,
  -- JSON list of the types it takes; NULL: all.
  event_types TEXT,
  -- The name of the header that is sent with each delivery. Its value is only at Convoy.
  header_name TEXT,
  rate_requests INTEGER,
  rate_per_s INTEGER,
  -- JSON of what Convoy was last known to have of these: name, url, description, http_timeout_s, rate limit.
  applied TEXT,
  -- 1: a caller wants it activated at Convoy, which paused it or gave up on it.
  lift INTEGER NOT NULL DEFAULT 0 CHECK (lift IN (0, 1)),
  -- Last seen at Convoy. paused and inactive: it discards. missing: a complete list of the owner's lacks it.
  there TEXT NOT NULL DEFAULT 'active' CHECK (there IN ('active', 'paused', 'inactive', 'missing')),
  -- Why what is wanted is not applied.
  error TEXT,
  -- Health: since when its deliveries fail, and the last answer; NULL while they arrive.
  failing_since INTEGER,
  failing_error TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  -- When it is next reconciled; NULL: Convoy is as it is wanted, as far as known.
  due_at INTEGER,
  -- Until when it belongs to whoever works on it; then it is due, too.
  lease_until INTEGER,
  -- Failed tries of reconcile in a row.
  failures INTEGER NOT NULL DEFAULT 0,
  CHECK ((rate_requests IS NULL) = (rate_per_s IS NULL))
) STRICT;

-- Paused at Convoy: it stays so until it is activated, which lifts it there first.
INSERT INTO endpoint_new (id, owner, wanted, name, url, description, http_timeout_s, applied, lift, there,
  created_at, updated_at, due_at)
SELECT id, owner,
  CASE status WHEN 'creating' THEN 'creating' WHEN 'paused' THEN 'paused' WHEN 'pausing' THEN 'paused' ELSE 'active' END,
  name, url, description, http_timeout_s,
  iif(status = 'creating', NULL, json_object('name', name, 'url', url, 'description', description, 'http_timeout_s', http_timeout_s,
    'rate_requests', NULL, 'rate_per_s', NULL)),
  status = 'activating',
  CASE status WHEN 'paused' THEN 'paused' WHEN 'pausing' THEN 'active' WHEN 'activating' THEN 'paused' WHEN 'inactive' THEN 'inactive'
    WHEN 'missing' THEN 'missing' ELSE 'active' END,
  created_at, updated_at,
  -- Others are compared with Convoy's list, as always.
  CASE WHEN status = 'creating' THEN coalesce(due_at, updated_at) WHEN status IN ('pausing', 'activating') THEN updated_at END
FROM endpoint;
DROP TABLE endpoint;
ALTER TABLE endpoint_new RENAME TO endpoint;
-- Those that a caller has; what is to be done; those that are removed, until they are forgotten.
CREATE INDEX endpoint_owner ON endpoint (owner, id) WHERE wanted IN ('active', 'paused');
CREATE INDEX endpoint_due ON endpoint (owner, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX endpoint_removed ON endpoint (updated_at) WHERE wanted = 'removed' AND due_at IS NULL;
-- What fails now, of an owner or of all: written only when that changes.
CREATE INDEX endpoint_failing ON endpoint (owner, failing_since, wanted) WHERE failing_since IS NOT NULL;
-- The owner at which the last turn of reconciling ended.
ALTER TABLE cron_state ADD COLUMN reconcile_turn TEXT NOT NULL DEFAULT '';
-- Convoy's list of endpoints is compared with the records, round after round: where it goes on (NULL: at its beginning), and when.
ALTER TABLE cron_state ADD COLUMN drift_cursor TEXT;
ALTER TABLE cron_state ADD COLUMN drift_due_at INTEGER NOT NULL DEFAULT 0;

-- What the log knows of endpoints: those that a caller has, whether deliveries are posted to them, and what they take.
CREATE VIEW outbox_endpoint AS
SELECT id, owner, wanted = 'active' AND there = 'active' AS active, event_types, rate_requests, rate_per_s, failing_since
FROM endpoint WHERE wanted IN ('active', 'paused');
