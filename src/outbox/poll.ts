/**
 * What is new for an owner who is looking: deliveries that came, how those go on that are watched, which endpoints fail,
 * what waits. One batch that reads few rows however large the log is, so that a page may ask often.
 */
import { all, batch } from "../storage.ts";
import { type DeliveryOfEvent, EVENT_OF } from "./lists.ts";
import { type DeliveryRow, isLost, lostSql } from "./rows.ts";
import type { PollQuery } from "./schema.ts";

/** Most deliveries that one poll looks at for new ones, and most that it watches. */
export const POLL_NEWS = 15;
export const POLL_WATCHED = 50;
// What shows that the gateway has taken something of the owner's.
const POLL_NEWEST = 3;
/** Most of those being sent that it asks the gateway about, beside those that are watched. */
const POLL_SENDING = 5;
/** Most of what waits that one poll counts. */
export const POLL_WAITING = 10;

/** How far a watched delivery is; `id`, its event's, only while it is being sent. */
export type WatchedRow = DeliveryRow & { id: string };

/** The answer. Times in ms. */
export type News = {
  rows: DeliveryOfEvent[];
  hasMore: boolean;
  after: number;
  watched: WatchedRow[];
  failing: { endpoints: number; latest: number | null };
  /** What the gateway has not taken; `isBlocked`: a post failed, and the gateway has taken nothing of the newest since. */
  waiting: { deliveries: number; since: number; error: string | null; isBlocked: boolean } | null;
  /** The newest that the gateway has: asked for whether they are shown or not, so that a failure is seen at once. */
  sending: SendingRow[];
  isBreakerOpen: boolean;
};

/** A delivery that is being sent, with its event's id. */
export type SendingRow = Pick<
  DeliveryRow,
  "event_seq" | "endpoint_id" | "key_version" | "accepted_at"
> & { id: string; status: "sending" };

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
const FAILING = `SELECT count(*) AS n, max(failing_since) AS at FROM outbox_endpoint
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

const BREAKER = "SELECT breaker = 'open' AS n FROM cron_state";

type Key = Pick<DeliveryRow, "event_seq" | "endpoint_id">;
type Waits = { error: string | null; failed_at: number | null; at: number };
type Newest = { n: number; at: number | null };

/** The answer to an owner's question. A second statement reads what is new, if anything is. */
export async function poll(db: D1Database, owner: string, query: PollQuery): Promise<News> {
  const { after, status, watch = [] } = query;
  const places = watch.map(({ seq, endpointId }) =>
    endpointId === "" ? [seq] : [seq, endpointId],
  );
  const results = await batch<never>(db, [
    [freshKeys(query), owner, after ?? Number.MAX_SAFE_INTEGER, POLL_NEWS + 1],
    [NEWEST, owner],
    [WATCHED, owner, JSON.stringify(places), POLL_WATCHED],
    [FAILING, owner],
    [WAITING, owner, POLL_WAITING],
    [BREAKER],
    [SENDING, owner, POLL_SENDING],
  ]);
  const [keys = [], newest = [], seen = [], failing, waits = [], breaker, sending = []] = results;
  const numberOf = (found?: { n: number | null }[]) => found?.[0]?.n ?? 0;
  const isKnown = (key: Key) =>
    watch.some(({ seq, endpointId }) => seq === key.event_seq && endpointId === key.endpoint_id);
  const fresh = (keys as Key[]).filter((key) => !isKnown(key));
  return {
    rows: fresh.length === 0 ? [] : await rowsOf(db, owner, query, fresh.slice(0, POLL_NEWS)),
    // Of what failed only the newest is looked at, whatever the caller has.
    hasMore: !isLost(status) && keys.length > POLL_NEWS,
    after: numberOf(newest),
    watched: seen,
    failing: {
      endpoints: numberOf(failing),
      latest: (failing as { at: number | null }[] | undefined)?.[0]?.at ?? null,
    },
    waiting: waitingOf(waits, newest),
    sending,
    isBreakerOpen: numberOf(breaker) === 1,
  };
}

function rowsOf(
  db: D1Database,
  owner: string,
  { status, endpoint, type }: PollQuery,
  keys: Key[],
): Promise<DeliveryOfEvent[]> {
  const filter = [status ?? null, endpoint ?? null, type ?? null];
  return all<DeliveryOfEvent>(db, THESE, owner, JSON.stringify(keys), ...filter);
}

function waitingOf(waits: Waits[], newest: Newest[]): News["waiting"] {
  if (waits.length === 0) return null;
  const takenAt = Math.max(0, ...newest.map(({ at }) => at ?? 0));
  const oldest = waits.reduce((one, other) => (other.at < one.at ? other : one));
  return {
    deliveries: waits.length,
    since: oldest.at,
    error: waits.find(({ error }) => error !== null)?.error ?? null,
    isBlocked: waits.some(({ failed_at: at }) => at !== null && at > takenAt),
  };
}
