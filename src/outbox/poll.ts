/**
 * What is new for an owner who is looking: deliveries that came, how those go on that are watched, which endpoints fail,
 * what waits. One batch that reads few rows however large the log is, so that a page may ask often.
 */
import { all, batch } from "../storage.ts";
import type { Polled } from "./answers.ts";
import { type DeliveryOfEvent, EVENT_OF } from "./lists.ts";
import type { LiveRow } from "./live.ts";
import { type CronRow, type DeliveryRow, isLost, lostSql } from "./rows.ts";
import type { PollQuery } from "./schema.ts";
import { iso, isoOrNull } from "./time-range.ts";

// Most deliveries that one poll looks at for new ones, and most that it watches.
const POLL_NEWS = 15;
const POLL_WATCHED = 50;
// What shows that the gateway has taken something of the owner's.
const POLL_NEWEST = 3;
// Most of those being sent that it asks the gateway about, beside those that are watched.
const POLL_SENDING = 5;
// Most of what waits that one poll counts.
const POLL_WAITING = 10;

/** How far a watched delivery is; `id`, its event's, only while it is being sent. */
export type WatchedRow = DeliveryRow & { id: string };

/** The rows that an answer shows, those that the gateway is asked about beside them, and the rest of the answer. */
export type News = {
  rows: DeliveryOfEvent[];
  watched: WatchedRow[];
  /** The newest that the gateway has: asked for whether they are shown or not, so that a failure is seen at once. */
  sending: LiveRow[];
  rest: Omit<Polled, "data" | "watched">;
};

/** Keys of what may be new: what came, or, of what failed, the newest, since that may have come long ago. */
function freshKeys({ status }: PollQuery): string {
  // Both are served by an index alone: delivery_failed, for a range of event_seq, and delivery_owner.
  const where = isLost(status)
    ? `${lostSql(status)} AND event_seq < ${Number.MAX_SAFE_INTEGER}`
    : "event_seq > ?2";
  return `SELECT event_seq, endpoint_id FROM delivery WHERE owner = ?1 AND ${where}
    ORDER BY event_seq DESC, endpoint_id DESC LIMIT ?3`;
}

const THESE = `SELECT d.*, ${EVENT_OF} FROM json_each(?2) AS w
  CROSS JOIN delivery AS d ON d.event_seq = w.value ->> 'event_seq' AND d.endpoint_id = w.value ->> 'endpoint_id'
  JOIN event ON event.seq = d.event_seq
  WHERE d.owner = ?1 AND (?3 IS NULL OR d.status = ?3) AND (?4 IS NULL OR d.endpoint_id = ?4) AND (?5 IS NULL OR d.type = ?5)
  ORDER BY d.event_seq DESC, d.endpoint_id DESC`;

const NEWEST = `SELECT event_seq AS n, accepted_at AS at FROM delivery WHERE owner = ?1
  ORDER BY event_seq DESC, endpoint_id DESC LIMIT ${POLL_NEWEST}`;

// A place without an endpoint is a range of the primary key.
const WATCHED = `SELECT d.*, CASE d.status WHEN 'sending' THEN (SELECT id FROM event WHERE seq = d.event_seq) ELSE '' END AS id
  FROM json_each(?2) AS w CROSS JOIN delivery AS d ON d.event_seq = w.value ->> 0
    AND d.endpoint_id BETWEEN coalesce(w.value ->> 1, '') AND coalesce(w.value ->> 1, char(0x10ffff))
  WHERE d.owner = ?1 LIMIT ?3`;

// Served by endpoint_failing.
const FAILING = `SELECT count(*) AS endpoints, max(failing_since) AS at FROM outbox_endpoint
  WHERE owner = ?1 AND failing_since IS NOT NULL`;

const WAITING = `SELECT d.error, d.failed_at, event.occurred_at AS at FROM (
    SELECT event_seq, error, failed_at FROM delivery
    WHERE owner = ?1 AND status = 'pending' ORDER BY due_at LIMIT ?2 + 1
  ) AS d JOIN event ON event.seq = d.event_seq`;

// Served by delivery_sending.
const SENDING = `SELECT d.event_seq, d.endpoint_id, d.key_version, d.accepted_at, d.status, event.id FROM (
    SELECT event_seq, endpoint_id, key_version, accepted_at, status FROM delivery
    WHERE owner = ?1 AND status = 'sending' ORDER BY due_at DESC LIMIT ?2
  ) AS d JOIN event ON event.seq = d.event_seq`;

const BREAKER = "SELECT breaker FROM cron_state";

type Key = Pick<DeliveryRow, "event_seq" | "endpoint_id">;
type Newest = { n: number; at: number | null };
type Failing = { endpoints: number; at: number | null };
type Waits = { error: string | null; failed_at: number | null; at: number };

/** The answer to an owner's question. A second statement reads what is new, if anything is. */
export async function poll(db: D1Database, owner: string, query: PollQuery): Promise<News> {
  const { after, status, endpoint, type, watch = [] } = query;
  const places = watch.map(({ seq, endpointId }) =>
    endpointId === "" ? [seq] : [seq, endpointId],
  );
  const results = await batch(db, [
    [freshKeys(query), owner, after ?? Number.MAX_SAFE_INTEGER, POLL_NEWS + 1],
    [NEWEST, owner],
    [WATCHED, owner, JSON.stringify(places), POLL_WATCHED],
    [FAILING, owner],
    [WAITING, owner, POLL_WAITING],
    [BREAKER],
    [SENDING, owner, POLL_SENDING],
  ]);
  const [keys, newest, watched, [failing], waits, [state], sending] = results as [
    ...[Key[], Newest[], WatchedRow[], [Failing], Waits[]],
    ...[[Pick<CronRow, "breaker">], LiveRow[]],
  ];
  const isKnown = (key: Key) =>
    watch.some(({ seq, endpointId }) => seq === key.event_seq && endpointId === key.endpoint_id);
  const fresh = keys.filter((key) => !isKnown(key)).slice(0, POLL_NEWS);
  const filter = [status ?? null, endpoint ?? null, type ?? null];
  // A post failed, and the gateway has taken nothing of the newest since.
  const takenAt = Math.max(0, ...newest.map(({ at }) => at ?? 0));
  const isBlocked = waits.some(({ failed_at: at }) => at !== null && at > takenAt);
  return {
    ...{ watched, sending },
    rows: fresh.length > 0 ? await all(db, THESE, owner, JSON.stringify(fresh), ...filter) : [],
    rest: {
      // Of what failed only the newest is looked at, whatever the caller has.
      has_more: !isLost(status) && keys.length > POLL_NEWS,
      after: newest[0]?.n ?? 0,
      failing: { endpoints: failing.endpoints, latest: isoOrNull(failing.at) },
      waiting: waitingOf(waits),
      gateway: isBlocked || state.breaker === "open" ? "down" : "ok",
    },
  };
}

/** What the gateway has not taken. */
function waitingOf(waits: Waits[]): Polled["waiting"] {
  if (waits.length === 0) return null;
  return {
    deliveries: Math.min(waits.length, POLL_WAITING),
    has_more: waits.length > POLL_WAITING,
    since: iso(Math.min(...waits.map(({ at }) => at))),
    error: waits.find(({ error }) => error !== null)?.error ?? null,
  };
}
