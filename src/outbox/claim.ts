/** Claims what is to be posted: owners in turn, a few rows each, and what was held for endpoints that are active now. */
import { batch, type Statement } from "../storage.ts";
import type { DeliveryRow, EventContent, EventRow } from "./rows.ts";
import { keepTurnSql, turnSql } from "./turns.ts";
import { LEASE_MS, RATE_WINDOW_S } from "./write.ts";

/** A delivery that is ours until its `due_at`, and its event. */
export type Claimed = DeliveryRow & { event: EventContent };

/** `turn`: where the next one begins. `more`: something may be left that is due. */
export type Claim = {
  rows: Claimed[];
  turn: string;
  more: boolean;
  /** Rows that are held now, since their endpoint is not active; or dead, since it has no record. */
  held: number;
  dead: number;
};

// An owner may have several times its share, if others have less.
const SHARES_MAX = 4;

// Rows of an endpoint with a rate limit, beyond what it takes in RATE_WINDOW_S, are due when their turn is about: after
// the last of those that wait already and did not fail.
const LAST_WAITING = `(SELECT due_at FROM delivery AS w WHERE w.status = 'pending' AND w.owner = e.owner
    AND w.endpoint_id = e.id AND w.failures = 0 ORDER BY due_at DESC LIMIT 1)`;
const QUOTA = `max(1, ${RATE_WINDOW_S} * e.rate_requests / e.rate_per_s)`;
// At the gateway, or ours or due before long.
const UNDER_WAY = `((SELECT count(*) FROM delivery AS s WHERE s.status = 'sending' AND s.owner = e.owner AND s.endpoint_id = e.id)
    + (SELECT count(*) FROM delivery AS s WHERE s.status = 'pending' AND s.owner = e.owner AND s.endpoint_id = e.id
      AND s.due_at > ?2 AND s.due_at <= ?4))`;

// ?1 the place, ?2 the time, ?3 the limit, ?4 the lease. `picked`: of each owner in turn its due rows by due_at, and by
// sequence what is held for its active endpoints; `nth`: one of either kind after the other, so that neither keeps the
// other waiting.
const PICKED = `
lane (owner, n) AS MATERIALIZED (
  SELECT owner, row_number() OVER (ORDER BY round, owner) FROM turn
), share (rows) AS MATERIALIZED (
  SELECT CAST(1 + ${SHARES_MAX} * ?3 / max(1, count(*)) AS INTEGER) FROM lane
), pending AS (
  SELECT lane.owner, lane.n, 0 AS kind, j.key AS place, j.value ->> 0 AS event_seq, j.value ->> 1 AS endpoint_id
  FROM lane CROSS JOIN json_each((SELECT json_group_array(json_array(event_seq, endpoint_id)) FROM (
    SELECT event_seq, endpoint_id FROM delivery
    WHERE status = 'pending' AND owner = lane.owner AND due_at <= ?2 ORDER BY due_at LIMIT (SELECT rows FROM share)))) AS j
), released AS (
  SELECT lane.owner, lane.n, 1 AS kind,
    row_number() OVER (PARTITION BY lane.owner ORDER BY j.value) - 1 AS place, j.value AS event_seq, e.id AS endpoint_id
  FROM lane CROSS JOIN outbox_endpoint AS e ON e.owner = lane.owner AND e.active = 1
  CROSS JOIN json_each((SELECT json_group_array(event_seq) FROM (
    SELECT event_seq FROM delivery WHERE status = 'held' AND endpoint_id = e.id ORDER BY event_seq LIMIT (SELECT rows FROM share)))) AS j
), picked AS (
  SELECT *, row_number() OVER (PARTITION BY owner ORDER BY place, kind) AS nth
  FROM (SELECT * FROM pending UNION ALL SELECT * FROM released WHERE place < (SELECT rows FROM share))
)`;

// `limited`: how many rows of an endpoint may be posted now; of the others, the first one's time, and how far apart.
// `next`: what becomes of a row. Those that are to be posted are counted in the order of turns.
const CHOSEN = `
limited AS MATERIALIZED (
  SELECT e.id, max(0, ${QUOTA} - ${UNDER_WAY}) AS room, max(?2, coalesce(${LAST_WAITING}, 0)) AS last,
    1000 * e.rate_per_s / e.rate_requests AS apart
  FROM outbox_endpoint AS e WHERE e.id IN (SELECT endpoint_id FROM picked) AND e.rate_requests IS NOT NULL
), next AS (
  SELECT p.*, CASE WHEN e.id IS NULL THEN 'dead' WHEN e.active = 0 THEN 'held' ELSE 'pending' END AS status,
    row_number() OVER (PARTITION BY p.endpoint_id ORDER BY p.nth) - limited.room AS beyond, limited.last, limited.apart
  FROM picked AS p LEFT JOIN outbox_endpoint AS e ON e.id = p.endpoint_id LEFT JOIN limited ON limited.id = p.endpoint_id
), chosen AS (
  SELECT event_seq, endpoint_id, status, CASE WHEN status <> 'pending' THEN NULL
    WHEN beyond > 0 THEN last + beyond * apart ELSE ?4 END AS due_at,
    row_number() OVER (PARTITION BY status = 'pending' AND coalesce(beyond, 0) <= 0 ORDER BY nth, n) AS count,
    status = 'pending' AND coalesce(beyond, 0) <= 0 AS is_ours
  FROM next
)`;

const EVENT = `(SELECT json_object('seq', seq, 'id', id, 'type', type, 'occurred_at', occurred_at,
    'resource', resource, 'resource_id', resource_id, 'data', data, 'test', test) FROM event WHERE seq = event_seq)`;

/** Exported for EXPLAIN in a test. */
export const CLAIM = `${turnSql("post")}, ${PICKED}, ${CHOSEN}
UPDATE delivery SET status = c.status, due_at = c.due_at,
  error = iif(c.status = 'dead', 'The endpoint was removed.', delivery.error), finished_at = iif(c.status = 'dead', ?2, NULL)
FROM chosen AS c
WHERE delivery.event_seq = +c.event_seq AND delivery.endpoint_id = +c.endpoint_id AND (NOT c.is_ours OR c.count <= ?3)
RETURNING *, iif(status = 'pending' AND due_at = ?4, ${EVENT}, NULL) AS event`;

const KEEP_TURN = keepTurnSql("post");

/**
 * Claims up to `limit` deliveries that are due, or held for an endpoint that is active, and keeps the turn. In the
 * order in which they are to be posted: one of each owner, then the next of each.
 */
export async function claim(
  db: D1Database,
  { turn, limit, now }: { turn: string; limit: number; now: number },
): Promise<Claim> {
  const lease = now + LEASE_MS;
  const place = [turn, now, limit];
  const statements: Statement[] = [
    [KEEP_TURN, ...place],
    [CLAIM, ...place, lease],
  ];
  type Row = DeliveryRow & { place: string; event: string | null };
  const [kept = [], rows = []] = await batch<Row>(db, statements);
  const ours = rows.flatMap((row) =>
    row.event === null ? [] : [{ ...row, event: JSON.parse(row.event) as EventRow }],
  );
  const perOwner = [...Map.groupBy(rows, ({ owner }) => owner).values()].map(
    ({ length }) => length,
  );
  return {
    rows: inTurn(ours),
    turn: kept[0]?.place ?? turn,
    more: ours.length >= limit || Math.max(0, ...perOwner) > (SHARES_MAX * limit) / perOwner.length,
    held: rows.filter(({ status }) => status === "held").length,
    dead: rows.filter(({ status }) => status === "dead").length,
  };
}

/**
 * RETURNING guarantees no order: one row of each owner, then the next of each. First what did not fail, or failed longest
 * ago, then by sequence: of an owner and among owners it probes for the others, which a few that never get through would
 * else keep waiting for ever.
 */
function inTurn(rows: Claimed[]): Claimed[] {
  const ordered = rows.toSorted(
    (a, b) => (a.failed_at ?? 0) - (b.failed_at ?? 0) || a.event_seq - b.event_seq,
  );
  const lanes = [...Map.groupBy(ordered, ({ owner }) => owner).values()];
  const longest = Math.max(0, ...lanes.map(({ length }) => length));
  return Array.from({ length: longest }, (_, nth) => nth).flatMap((nth) =>
    lanes.flatMap((lane) => lane.slice(nth, nth + 1)),
  );
}
