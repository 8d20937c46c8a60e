/** Sending again what a user asks for: under the next key, with the same `event_id`. */
import { all, batch, type Statement } from "../storage.ts";
import { NEXT_KEY } from "./learn.ts";
import { type EventRow, lostSql } from "./rows.ts";
import type { BulkResend } from "./schema.ts";
import { idsOf, inRange } from "./time-range.ts";
import { LEASE_MS, type Written } from "./write.ts";

/** Deliveries that one call sends again. */
export const RESEND_MAX = 1_000;

const IS_ACTIVE =
  "(SELECT active FROM outbox_endpoint AS e WHERE e.id = delivery.endpoint_id AND e.owner = delivery.owner)";

// ?1 is when it is due: a lease, or now. Of an endpoint that is not active it is held, of one without a record it stays.
const RESEND = `
UPDATE delivery SET status = iif(${IS_ACTIVE}, 'pending', 'held'), due_at = iif(${IS_ACTIVE}, ?1, NULL), ${NEXT_KEY},
  since_version = delivery.key_version + 1, resends = delivery.resends + 1, stuck = 0, discards = 0, error = NULL,
  last_http_status = NULL, finished_at = NULL
WHERE ${IS_ACTIVE} IS NOT NULL AND delivery.status IN ('delivered', 'failed', 'dead') AND delivery.owner = ?2`;

/**
 * Sends one delivery again, or, without an endpoint, those of an event that failed or died, or all that are final if
 * none did. They are ours where they are pending.
 * @returns null if the owner has no such event
 */
export async function resend(
  db: D1Database,
  {
    owner,
    eventId,
    endpointId,
    now,
  }: { owner: string; eventId: string; endpointId: string | null; now: number },
): Promise<Written | null> {
  const lost = `SELECT 1 FROM delivery AS other WHERE other.event_seq = delivery.event_seq AND other.status IN ('failed', 'dead')`;
  const which =
    endpointId === null
      ? `AND (delivery.status <> 'delivered' OR NOT EXISTS (${lost}))`
      : "AND delivery.endpoint_id = ?4";
  const one: Statement = [
    `${RESEND} AND delivery.event_seq = (SELECT seq FROM event WHERE id = ?3 AND owner = ?2) ${which} RETURNING *`,
    ...[now + LEASE_MS, owner, eventId, ...(endpointId === null ? [] : [endpointId])],
  ];
  const [rows = [], events = []] = await batch<never>(db, [
    one,
    ["SELECT * FROM event WHERE id = ?1 AND owner = ?2", eventId, owner],
  ]);
  const [event] = events as EventRow[];
  return event ? { event, deliveries: rows } : null;
}

/** What one call did; `next`: where the next one continues, null if this was the last. */
export type BulkResent = { resent: number; next: number | null };

type Found = { event_seq: number; endpoint_id: string; matches: number };

const THESE = `(delivery.event_seq, delivery.endpoint_id) IN
  (SELECT value ->> 'event_seq', value ->> 'endpoint_id' FROM json_each(?3))`;

/**
 * Sends again up to RESEND_MAX of what failed, newest first, due at once; a dry run only counts them. A round never meets
 * the same delivery twice, whatever becomes of it meanwhile: it goes on below the last sequence.
 */
export async function resendMany(
  db: D1Database,
  owner: string,
  wanted: BulkResend,
  now: number,
): Promise<BulkResent> {
  const { matching, next } = await findLost(db, owner, wanted);
  if (matching.length === 0) return { resent: 0, next };
  const sql = wanted.dry_run
    ? `SELECT event_seq FROM delivery WHERE ${IS_ACTIVE} IS NOT NULL AND owner = ?2 AND ${THESE}`
    : `${RESEND} AND ${THESE} RETURNING event_seq`;
  const rows = await all(db, sql, now, owner, JSON.stringify(matching));
  return { resent: rows.length, next };
}

/** What one call of a round is about. */
async function findLost(
  db: D1Database,
  owner: string,
  { status, endpoint, since, until, cursor }: BulkResend,
): Promise<{ matching: Found[]; next: number | null }> {
  const statuses = status ? [status] : (["failed", "dead"] as const);
  // One status at a time.
  const source = (
    one: "failed" | "dead",
  ) => `SELECT * FROM (SELECT event_seq, endpoint_id FROM delivery
    WHERE owner = ?1 AND ${lostSql(one)} AND event_seq < ?2
      AND ${inRange("event_seq", "?7", "?8")} ORDER BY event_seq DESC LIMIT ?6)`;
  const found = await all<Found>(
    db,
    `SELECT d.event_seq, d.endpoint_id, (?3 IS NULL OR d.endpoint_id = ?3)
       AND (?4 IS NULL OR event.occurred_at >= ?4) AND (?5 IS NULL OR event.occurred_at < ?5) AS matches
     FROM (${statuses.map(source).join(" UNION ALL ")}) AS d JOIN event ON event.seq = d.event_seq
     ORDER BY d.event_seq DESC LIMIT ?6`,
    ...[
      owner,
      cursor?.seq ?? Number.MAX_SAFE_INTEGER,
      endpoint ?? null,
      since ?? null,
      until ?? null,
    ],
    ...[RESEND_MAX + 1, ...idsOf({ since, until })],
  );
  const { page, next } = wholeEvents(found);
  return { matching: page.filter(({ matches }) => matches === 1), next };
}

/** The rows up to the end of an event: the next call begins below its sequence. */
function wholeEvents(rows: Found[]): { page: Found[]; next: number | null } {
  if (rows.length <= RESEND_MAX) return { page: rows, next: null };
  const cut = rows.at(-1)?.event_seq;
  const whole = rows.filter(({ event_seq }) => event_seq !== cut);
  // One event with more deliveries than a call takes: what was found of it.
  const page = whole.length > 0 ? whole : rows;
  return { page, next: page.at(-1)?.event_seq ?? null };
}
