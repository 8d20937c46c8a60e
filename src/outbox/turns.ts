/**
 * Owners in turn: whoever has something to do now, from where the last turn ended, once around. An index leads from
 * owner to owner and says of each whether anything is due, so that no row of those that wait is read, however many.
 */
import { all } from "../storage.ts";

/** What owners take turns in. */
export type Work = "post" | "look-up" | "project";

// Each has an index (owner, due_at) of just these rows, and a column of cron_state where its last turn ended.
const WORKS = {
  post: { table: "delivery", where: "status = 'pending'", place: "post_turn" },
  "look-up": { table: "delivery", where: "status = 'sending'", place: "look_up_turn" },
  project: { table: "event", where: "projected = 0", place: "project_turn" },
} as const;

// `step`: owners with a row of this kind after the place ?1 (round 0), then from the first one (round 1). A row without
// owner ends the first round.
function steps(work: Work): string {
  const { table, where } = WORKS[work];
  const next = (after: string) => `(SELECT min(owner) FROM ${table} WHERE ${where}${after})`;
  return `
step (owner, round) AS (
  SELECT ${next(" AND owner > ?1")}, 0
  UNION ALL
  SELECT iif(step.owner IS NULL, ${next("")}, ${next(" AND owner > step.owner")}), round + (step.owner IS NULL)
  FROM step WHERE round = 0 OR step.owner <= ?1
), due (owner, round) AS (
  SELECT owner, round FROM step WHERE owner IS NOT NULL AND (round = 0 OR owner <= ?1)
    AND EXISTS (SELECT 1 FROM ${table} WHERE ${where} AND owner = step.owner AND due_at <= ?2)
)`;
}

// `holding`: owners of active endpoints for which something is held. It is due: no statement sets it so.
const HOLDING = `
held (endpoint_id) AS (
  SELECT min(endpoint_id) FROM delivery WHERE status = 'held'
  UNION ALL
  SELECT (SELECT min(endpoint_id) FROM delivery WHERE status = 'held' AND endpoint_id > held.endpoint_id)
  FROM held WHERE held.endpoint_id IS NOT NULL
), holding (owner, round) AS (
  SELECT e.owner, e.owner <= ?1 FROM held CROSS JOIN outbox_endpoint AS e ON e.id = held.endpoint_id WHERE e.active = 1
)`;

/**
 * The beginning of a statement: `WITH RECURSIVE …, turn (owner, round)`, in which the turn's next ?3 owners are, to be
 * ordered by round, then owner. ?1 is the place where the last turn ended, ?2 the time.
 */
export function turnSql(work: Work): string {
  const some = "SELECT owner, round FROM due LIMIT ?3";
  if (work !== "post") return `WITH RECURSIVE ${steps(work)}, turn (owner, round) AS (${some})`;
  return `WITH RECURSIVE ${steps(work)}, ${HOLDING}, turn (owner, round) AS (
  SELECT owner, round FROM (${some}) UNION SELECT owner, round FROM holding ORDER BY round, owner LIMIT ?3
)`;
}

/** SQL: whether any owner has such work at ?1. */
export function anyDueSql(work: Work): string {
  const { table, where } = WORKS[work];
  const next = (after: string) => `(SELECT min(owner) FROM ${table} WHERE ${where}${after})`;
  const due = `EXISTS (
  WITH RECURSIVE step (owner) AS (
    SELECT ${next("")} UNION ALL SELECT ${next(" AND owner > step.owner")} FROM step WHERE step.owner IS NOT NULL
  )
  SELECT 1 FROM step WHERE EXISTS (SELECT 1 FROM ${table} WHERE ${where} AND owner = step.owner AND due_at <= ?1))`;
  if (work !== "post") return due;
  const holding = HOLDING.replace("e.owner <= ?1", "0");
  return `${due} OR EXISTS (WITH RECURSIVE ${holding} SELECT 1 FROM holding)`;
}

/** The statement's SQL that keeps where this turn ended. It takes what `turnSql` takes, and returns the place. */
export function keepTurnSql(work: Work): string {
  const { place } = WORKS[work];
  return `${turnSql(work)}
UPDATE cron_state SET ${place} = coalesce((SELECT owner FROM turn ORDER BY round DESC, owner DESC LIMIT 1), ?1)
RETURNING ${place} AS place`;
}

/** Up to `limit` owners with something due at `until` (ms), in turn from the kept place. */
export async function dueOwners(
  db: D1Database,
  work: Exclude<Work, "post">,
  until: number,
  limit = 50,
): Promise<string[]> {
  const place = `(SELECT ${WORKS[work].place} FROM cron_state)`;
  const sql = `${turnSql(work).replaceAll("?1", place).replaceAll("?2", "?1").replaceAll("?3", "?2")}
SELECT owner FROM turn ORDER BY round, owner`;
  const rows = await all<{ owner: string }>(db, sql, until, limit);
  return rows.map(({ owner }) => owner);
}
