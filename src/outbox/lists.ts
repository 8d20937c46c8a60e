/** What an owner reads of the log: lists of deliveries and of events, newest first. */
import { all, batch, first, type Statement } from "../storage.ts";
import type { DeliveryRow, DeliveryStatus, EventRow } from "./rows.ts";
import { idsOf, inRange, type TimeRange } from "./time-range.ts";

/** Rows of the log that one page looks at if no index serves its filter. */
export const WINDOW_ROWS = 1_000;

/** Where a page begins: below this sequence, and of it below this endpoint. */
export type Place = { seq: number; endpointId: string };

/** What to list. */
export type Filter = {
  status?: DeliveryStatus | undefined;
  endpoint?: string | undefined;
  type?: string | undefined;
  range: TimeRange;
  limit: number;
  before: Place | null;
};

/** A delivery with what it shows of its event. */
export type DeliveryOfEvent = DeliveryRow & Omit<EventRow, "due_at" | "type" | "owner" | "seq">;

/** An event with how many of its deliveries have which status, as JSON. */
export type EventWithCounts = EventRow & { deliveries: string };

/** One page; `next`: where the next one begins, null on the last. */
export type Rows<Row> = { rows: Row[]; next: Place | null };

const TOP: Place = { seq: Number.MAX_SAFE_INTEGER, endpointId: "" };

// ?1 owner, ?2 and ?3 the place, ?4 and ?5 ids of the range.
const BELOW = `(event_seq, endpoint_id) < (?2, ?3) AND ${inRange("event_seq", "?4", "?5")}`;
/** Columns of a delivery's event. */
export const EVENT_OF = `event.id, event.occurred_at, event.resource, event.resource_id, event.change, event.data,
  event.test, event.projected`;
const COUNTS = `(SELECT json_group_object(status, n) FROM (
  SELECT status, count(*) AS n FROM delivery WHERE event_seq = event.seq GROUP BY status)) AS deliveries`;

const isLost = (status: DeliveryStatus | undefined) => status === "failed" || status === "dead";

/** SELECT of an owner's deliveries by the index that serves the status best; of all owners' by the primary key. */
function sourceOf(owner: string | null, { status, endpoint }: Filter): string {
  if (owner === null) return `SELECT * FROM delivery WHERE ?1 IS NULL AND ${BELOW}`;
  if (isLost(status)) {
    // Served by delivery_failed.
    return `SELECT * FROM delivery WHERE owner = ?1 AND status IN ('failed', 'dead') AND status = '${status}' AND ${BELOW}`;
  }
  if (status === "held" && endpoint !== undefined) {
    // Served by delivery_held.
    return `SELECT * FROM delivery WHERE owner = ?1 AND endpoint_id = ?6 AND status = 'held' AND ${BELOW}`;
  }
  return `SELECT * FROM delivery WHERE owner = ?1 AND ${BELOW}`;
}

/**
 * An owner's deliveries, or all owners'. A filter without an index looks at WINDOW_ROWS rows, so a page may have fewer rows than
 * requested, even none, and still a next page.
 * @throws StorageError
 */
export async function listDeliveries(
  db: D1Database,
  owner: string | null,
  filter: Filter,
): Promise<Rows<DeliveryOfEvent>> {
  const { status, endpoint, type, range, limit, before } = filter;
  const { seq, endpointId } = before ?? TOP;
  const order = "ORDER BY event_seq DESC, endpoint_id DESC";
  // What an index of a status serves alone needs no window.
  const isServed = owner !== null && isLost(status);
  const isFiltered = [isServed ? null : status, endpoint, type, range.since, range.until].some(
    (one) => one != null,
  );
  const looked = isFiltered ? WINDOW_ROWS : limit + 1;
  const source = `${sourceOf(owner, filter)} ${order} LIMIT ?7`;
  const place = [owner, seq, endpointId, ...idsOf(range), endpoint ?? null, looked];
  const [rows = [], edge = []] = await batch<DeliveryOfEvent>(db, [
    [
      `SELECT d.*, ${EVENT_OF} FROM (${source}) AS d JOIN event ON event.seq = d.event_seq
       WHERE (?6 IS NULL OR d.endpoint_id = ?6) AND (?8 IS NULL OR d.status = ?8) AND (?9 IS NULL OR d.type = ?9)
         AND (?10 IS NULL OR event.occurred_at >= ?10) AND (?11 IS NULL OR event.occurred_at < ?11) ${order} LIMIT ?12`,
      ...[...place, status ?? null, type ?? null, range.since, range.until, limit + 1],
    ],
    // The last row that was looked at, if there may be more after it.
    [`SELECT event_seq, endpoint_id FROM (${source}) LIMIT 1 OFFSET ?7 - 1`, ...place],
  ]);
  return pageOf(rows, limit, isFiltered ? edge[0] : undefined, (row) => ({
    seq: row.event_seq,
    endpointId: row.endpoint_id,
  }));
}

/** As `listDeliveries`, of events; a status or an endpoint means: has a delivery with it. @throws StorageError */
export async function listEvents(
  db: D1Database,
  owner: string | null,
  { status, endpoint, type, range, limit, before }: Filter,
): Promise<Rows<EventWithCounts>> {
  const isFiltered = [status, endpoint, type, range.since, range.until].some((one) => one != null);
  const source =
    owner !== null && isLost(status)
      ? // Served by delivery_failed.
        `SELECT DISTINCT event_seq AS seq FROM delivery WHERE owner = ?1 AND status IN ('failed', 'dead') AND status = '${status}'
         AND event_seq < ?2 AND ${inRange("event_seq", "?3", "?4")} ORDER BY event_seq DESC LIMIT ?5`
      : // Served by event_owner, or by the primary key.
        `SELECT seq FROM event WHERE ${owner === null ? "?1 IS NULL" : "owner = ?1"} AND seq < ?2 AND ${inRange("seq", "?3", "?4")} ORDER BY seq DESC LIMIT ?5`;
  const looked = isFiltered ? WINDOW_ROWS : limit + 1;
  const place = [owner, (before ?? TOP).seq, ...idsOf(range), looked];
  const has = (condition: string) =>
    `EXISTS (SELECT 1 FROM delivery WHERE event_seq = event.seq AND ${condition})`;
  const [rows = [], edge = []] = await batch<EventWithCounts>(db, [
    [
      `SELECT event.*, ${COUNTS} FROM (${source}) AS looked JOIN event ON event.seq = looked.seq
       WHERE (?6 IS NULL OR ${has("status = ?6")}) AND (?7 IS NULL OR ${has("endpoint_id = ?7")}) AND (?8 IS NULL OR type = ?8)
         AND (?9 IS NULL OR occurred_at >= ?9) AND (?10 IS NULL OR occurred_at < ?10) ORDER BY event.seq DESC LIMIT ?11`,
      ...[
        ...place,
        status ?? null,
        endpoint ?? null,
        type ?? null,
        range.since,
        range.until,
        limit + 1,
      ],
    ],
    [`SELECT seq FROM (${source}) LIMIT 1 OFFSET ?5 - 1`, ...place],
  ]);
  return pageOf(rows, limit, isFiltered ? edge[0] : undefined, ({ seq }) => ({
    seq,
    endpointId: "",
  }));
}

function pageOf<Row>(
  rows: Row[],
  limit: number,
  edge: Row | undefined,
  placeOf: (row: Row) => Place,
): Rows<Row> {
  const page = rows.slice(0, limit);
  const last = rows.length > limit ? page.at(-1) : edge;
  return { rows: page, next: last ? placeOf(last) : null };
}

/** An owner's event with its counts, or null. @throws StorageError */
export function findEvent(
  db: D1Database,
  owner: string,
  id: string,
): Promise<EventWithCounts | null> {
  const sql = `SELECT event.*, ${COUNTS} FROM event WHERE id = ?1 AND owner = ?2`;
  return first<EventWithCounts>(db, sql, id, owner);
}

/** The deliveries of an owner's event; of one endpoint, or of all. @throws StorageError */
export function deliveriesOf(
  db: D1Database,
  owner: string,
  eventId: string,
  endpointId: string | null = null,
): Promise<DeliveryOfEvent[]> {
  return all<DeliveryOfEvent>(
    db,
    `SELECT d.*, ${EVENT_OF} FROM event JOIN delivery AS d ON d.event_seq = event.seq
     WHERE event.id = ?1 AND event.owner = ?2 AND (?3 IS NULL OR d.endpoint_id = ?3) ORDER BY d.endpoint_id`,
    ...[eventId, owner, endpointId],
  );
}

/** How many deliveries of an owner have which status; each count stops at COUNT_MAX. */
export type Summary = {
  counts: Record<Exclude<DeliveryStatus, "delivered">, number>;
  /** When the oldest that the gateway has not taken occurred (ms); null for none. */
  oldestPendingAt: number | null;
  /** Why they wait, most frequent first. */
  errors: { error: string; deliveries: number }[];
};

/** Counts stop here: a summary reads no more rows than this of each status. */
export const COUNT_MAX = 1_000;

/**
 * The summary of an owner, or of all if `owner` is null. Each count reads a bounded part of a partial index.
 * @throws StorageError
 */
export async function summaryOf(db: D1Database, owner: string | null): Promise<Summary> {
  const whose = owner === null ? "?1 IS NULL" : "owner = ?1";
  const isLost = "status IN ('failed', 'dead') AND ";
  const some = (select: string, where: string) =>
    `SELECT ${select} FROM delivery WHERE ${whose} AND ${where} LIMIT ?2`;
  const held =
    owner === null
      ? some("1", "status = 'held'")
      : `SELECT 1 FROM outbox_endpoint AS e JOIN delivery AS d
         ON d.endpoint_id = e.id AND d.status = 'held' WHERE e.owner = ?1 LIMIT ?2`;
  const count = (rows: string) => `SELECT count(*) AS n FROM (${rows})`;
  const pending = "status = 'pending'";
  const statements = [
    count(some("1", pending)),
    count(some("1", "status = 'sending'")),
    count(some("1", `${isLost}status = 'failed'`)),
    count(some("1", `${isLost}status = 'dead'`)),
    count(held),
    `SELECT min(event.occurred_at) AS at FROM (${some("event_seq", pending)}) AS d
     JOIN event ON event.seq = d.event_seq`,
    `SELECT error, count(*) AS n FROM (${some("error", pending)})
     WHERE error IS NOT NULL GROUP BY error ORDER BY n DESC LIMIT 5`,
  ];
  const results = await batch<{ n: number; at: number | null; error: string }>(
    db,
    statements.map((sql): Statement => [sql, owner, COUNT_MAX]),
  );
  const numbers = results.map((rows) => rows[0]?.n ?? 0);
  const [n0 = 0, n1 = 0, n2 = 0, n3 = 0, n4 = 0] = numbers;
  return {
    counts: { pending: n0, sending: n1, failed: n2, dead: n3, held: n4 },
    oldestPendingAt: results[5]?.[0]?.at ?? null,
    errors: (results[6] ?? []).map(({ error, n }) => ({ error, deliveries: n })),
  };
}
