-- Endpoints: what is under way or was cut off, and deliveries that nobody would send (docs/design.md, section 7).

-- NULL: nothing is under way. Else the lease of whoever works on the endpoint; once it is over the cron ends that work.
ALTER TABLE endpoint ADD COLUMN due_at INTEGER;
-- Of a creation that was cut off: where the search through the owner's endpoints at Convoy goes on.
ALTER TABLE endpoint ADD COLUMN search_cursor TEXT;
UPDATE endpoint SET due_at = updated_at WHERE status IN ('creating', 'pausing', 'activating');
CREATE INDEX endpoint_due ON endpoint (due_at) WHERE due_at IS NOT NULL;

-- How far the deliveries of each status were looked through; a window is fixed when it begins, and the place in it kept.
CREATE TABLE delivery_walk (
  -- Convoy's project: with another project's key another list is walked.
  project TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('Discarded', 'Scheduled', 'Retry', 'Processing')),
  since INTEGER NOT NULL,
  -- NULL: no window is open.
  until INTEGER,
  cursor TEXT,
  -- When the next page, or the next window, is read.
  due_at INTEGER NOT NULL,
  PRIMARY KEY (project, status)
) STRICT, WITHOUT ROWID;

-- Endpoints with deliveries that are to be sent again: kept until Convoy says that none are left.
CREATE TABLE recovery (
  project TEXT NOT NULL,
  endpoint_id TEXT NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
  status TEXT NOT NULL CHECK (status IN ('Discarded', 'Scheduled', 'Retry')),
  -- When the oldest of them was made, as far as known.
  since INTEGER NOT NULL,
  -- look: ask whether any are left and whether the endpoint is active. retry: send them again.
  action TEXT NOT NULL CHECK (action IN ('look', 'retry')),
  due_at INTEGER NOT NULL,
  PRIMARY KEY (endpoint_id, status)
) STRICT, WITHOUT ROWID;
CREATE INDEX recovery_due ON recovery (due_at);

-- Deliveries stuck in Processing whose event was posted again, each once and under one key, whoever dies in between.
CREATE TABLE reposted (
  delivery_id TEXT PRIMARY KEY,
  event_id TEXT NOT NULL,
  -- The key at Convoy is event_id:replays.
  replays INTEGER NOT NULL,
  -- NULL: not known to have been posted.
  posted_at INTEGER,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX reposted_created ON reposted (created_at);
