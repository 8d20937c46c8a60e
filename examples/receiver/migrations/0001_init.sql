-- The copy of the list: each todo as of its event with the highest sequence.
CREATE TABLE todo (
  id INTEGER PRIMARY KEY,
  sequence INTEGER NOT NULL,
  -- The JSON of the todo, NULL once deleted. The row stays, or a late update would bring the todo back.
  todo TEXT
) STRICT;

-- The events received. A repeat (a retry, a replay) has the same id.
CREATE TABLE seen (
  event_id TEXT PRIMARY KEY,
  -- Milliseconds since 1970, for the daily clean-up.
  seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX seen_at ON seen (seen_at);
