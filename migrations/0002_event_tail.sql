-- What follows the commit: post, settle, walk Convoy's list, look up, post again (docs/design.md, section 5).

-- How often the audit has asked for it since Convoy accepted its present key.
ALTER TABLE event ADD COLUMN lookups INTEGER NOT NULL DEFAULT 0;
-- How many of its keys Convoy took and never finished.
ALTER TABLE event ADD COLUMN stranded INTEGER NOT NULL DEFAULT 0;
-- Failed tries before which other events got through: an event dies of these, not of an outage's.
ALTER TABLE event ADD COLUMN own_failures INTEGER NOT NULL DEFAULT 0;
-- When it last failed under its present key.
ALTER TABLE event ADD COLUMN failed_at INTEGER;
-- 1: at the last try Convoy knew no such endpoint. Such events wait behind all others.
ALTER TABLE event ADD COLUMN missing INTEGER NOT NULL DEFAULT 0 CHECK (missing IN (0, 1));

-- A change costs 11 row writes over its life: an index that a row enters is one of them, and
-- so is each index that is touched by an update (D1 counts no removals).
DROP INDEX event_todo;
DROP INDEX event_due;
DROP INDEX event_audit;
DROP INDEX event_finished;
-- The latest change of a todo (commit, projection, purge). By type, which never changes.
CREATE INDEX event_todo ON event (owner, todo_id, seq) WHERE type NOT IN ('ping', 'failed');
-- What is to be posted, and what KV may lack, in one: each index that a new row enters is a write. Ranked by
-- failures, those whose endpoint Convoy does not know behind all others, and last what is only to be put into KV.
CREATE INDEX event_due ON event (
  iif(state = 'pending', attempts + 1000 * missing, 1000000), stored, due_at
) WHERE state = 'pending' OR stored = 0;
-- What Convoy said it accepted, and no walk of its list has found yet.
CREATE INDEX event_accepted ON event (due_at)
  WHERE state = 'accepted' AND stored IS NOT 0 AND due_at IS NOT NULL;
-- An owner's events that are on their way or dead: few of many.
CREATE INDEX event_open ON event (owner, state, seq) WHERE state IN ('pending', 'dead');

-- Where the cron is: one row.
CREATE TABLE cron_state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  -- The walk of Convoy's list: everything before `walk_since` (ms) is done; from there to `walk_until`
  -- it stands at Convoy's cursor. `walk_until` NULL: no window is open.
  walk_since INTEGER,
  walk_until INTEGER,
  walk_cursor TEXT,
  -- Convoy asked for time (Retry-After): nothing is posted before (ms).
  closed_until INTEGER NOT NULL DEFAULT 0,
  -- The scrub has compared KV with every change up to this event id.
  scrub_after TEXT NOT NULL DEFAULT '',
  -- The purge goes on after this seq; 0: from the beginning of the log.
  purge_after INTEGER NOT NULL DEFAULT 0,
  CHECK (walk_until IS NULL OR walk_since IS NOT NULL),
  CHECK (walk_cursor IS NULL OR walk_until IS NOT NULL)
) STRICT;
INSERT INTO cron_state (id) VALUES (1);
