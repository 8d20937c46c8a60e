/**
 * Owners in turn: whoever has something to do now, from where the last turn ended, once around. An index leads from
 * owner to owner and says of each whether anything is due, so that no row of those that wait is read, however many.
 */
/** What owners take turns in. */
export type Work = "post" | "look-up" | "project";

// Each has an index (owner, due_at) of just these rows, and a column of cron_state where its last turn ended.
const WORKS = {
  post: { table: "delivery", where: "status = 'pending'", place: "post_turn" },
  "look-up": { table: "delivery", where: "status = 'sending'", place: "look_up_turn" },
  project: { table: "event", where: "projected = 0", place: "project_turn" },
} as const;

// `step`: owners with a row of this kind after the place (round 0), then from the first one (round 1). A row without
// owner ends the first round.
function steps(work: Work, { place, now }: Given): string {
  const { table, where } = WORKS[work];
  const next = (after: string) => `(SELECT min(owner) FROM ${table} WHERE ${where}${after})`;
  return `
step (owner, round) AS (
  SELECT ${next(` AND owner > ${place}`)}, 0
  UNION ALL
  SELECT iif(step.owner IS NULL, ${next("")}, ${next(" AND owner > step.owner")}), round + (step.owner IS NULL)
  FROM step WHERE round = 0 OR step.owner <= ${place}
), due (owner, round) AS (
  SELECT owner, round FROM step WHERE owner IS NOT NULL AND (round = 0 OR owner <= ${place})
    AND EXISTS (SELECT 1 FROM ${table} WHERE ${where} AND owner = step.owner AND due_at <= ${now})
)`;
}

/** SQL of a recursive `waiting (endpoint_id)`: the endpoints for which something is held, one step of delivery_held each. */
export const WAITING = `
waiting (endpoint_id) AS (
  SELECT min(endpoint_id) FROM delivery WHERE status = 'held'
  UNION ALL
  SELECT (SELECT min(endpoint_id) FROM delivery WHERE status = 'held' AND endpoint_id > waiting.endpoint_id)
  FROM waiting WHERE waiting.endpoint_id IS NOT NULL
)`;

// `holding`: owners of active endpoints for which something is held. It is due: no statement sets it so.
const holding = ({ place }: Given) => `${WAITING}, holding (owner, round) AS (
  SELECT e.owner, e.owner <= ${place} FROM waiting CROSS JOIN outbox_endpoint AS e ON e.id = waiting.endpoint_id WHERE e.active = 1
)`;

/** SQL of where the last turn ended, and of the time. */
type Given = { place: string; now: string };
const GIVEN: Given = { place: "?1", now: "?2" };

/**
 * The beginning of a statement: `WITH RECURSIVE …, turn (owner, round)`, in which the turn's next ?3 owners are, to be
 * ordered by round, then owner. ?1 is the place where the last turn ended, ?2 the time.
 */
export function turnSql(work: Work): string {
  const some = "SELECT owner, round FROM due LIMIT ?3";
  if (work !== "post")
    return `WITH RECURSIVE ${steps(work, GIVEN)}, turn (owner, round) AS (${some})`;
  return `WITH RECURSIVE ${steps(work, GIVEN)}, ${holding(GIVEN)}, turn (owner, round) AS (
  SELECT owner, round FROM (${some}) UNION SELECT owner, round FROM holding ORDER BY round, owner LIMIT ?3
)`;
}

/** SQL: whether any owner has such work at ?1. */
export function anyDueSql(work: Work): string {
  const given = { place: "''", now: "?1" };
  const due = `EXISTS (WITH RECURSIVE ${steps(work, given)} SELECT 1 FROM due)`;
  if (work !== "post") return due;
  return `${due} OR EXISTS (WITH RECURSIVE ${holding(given)} SELECT 1 FROM holding)`;
}

/** The statement's SQL that keeps where this turn ended. It takes what `turnSql` takes, and returns the place. */
export function keepTurnSql(work: Work): string {
  const { place } = WORKS[work];
  return `${turnSql(work)}
UPDATE cron_state SET ${place} = coalesce((SELECT owner FROM turn ORDER BY round DESC, owner DESC LIMIT 1), ?1)
RETURNING ${place} AS place`;
}
