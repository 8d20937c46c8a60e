/** What an owner reads of the log: lists of deliveries and of events, newest first. */
import { PAGE_DEFAULT } from "../schema.ts";
import { all, batch, first, type Statement } from "../storage.ts";
import type { Summary } from "./answers.ts";
import { type DeliveryRow, type EventRow, isLost, lostSql } from "./rows.ts";
import type { LogQuery, Place } from "./schema.ts";
import { idsOf, inRange } from "./time-range.ts";

/** Rows of the log that one page looks at if no index serves its filter. */
const WINDOW_ROWS = 1_000;

/** A delivery with what it shows of its event. */
export type DeliveryOfEvent = DeliveryRow & Omit<EventRow, "due_at" | "type" | "owner" | "seq">;

/** An event with how many of its deliveries have which status, as JSON. */
export type EventWithCounts = EventRow & { deliveries: string };

/** One page; `next`: where the next one begins, null on the last. */
export type Rows<Row> = { rows: Row[]; next: Place | null };

const TOP: Place = { seq: Number.MAX_SAFE_INTEGER, endpointId: "" };

/** Columns of a delivery's event. */
export const EVENT_OF = `event.id, event.occurred_at, event.resource, event.resource_id, event.change, event.data,
  event.test, event.projected`;
const COUNTS = `(SELECT json_group_object(status, n) FROM (
  SELECT status, count(*) AS n FROM delivery WHERE event_seq = event.seq GROUP BY status)) AS deliveries`;

// In all SQL of a list: ?1 owner, ?2 and ?3 the place, ?4 and ?5 ids of the range, ?6 endpoint, ?7 how many rows are
// looked at; and beyond its source ?8 status, ?9 type, ?10 and ?11 the range, ?12 how many rows are shown.
const RANGE =
  "(?10 IS NULL OR event.occurred_at >= ?10) AND (?11 IS NULL OR event.occurred_at < ?11)";

/** An owner's deliveries, or all owners' if `owner` is null. */
export function listDeliveries(
  db: D1Database,
  owner: string | null,
  query: LogQuery,
): Promise<Rows<DeliveryOfEvent>> {
  const order = "ORDER BY event_seq DESC, endpoint_id DESC";
  // Each served by an index: that of the status, or delivery_owner; all owners' by the primary key.
  const where = [owner === null ? "?1 IS NULL" : "owner = ?1"];
  if (owner !== null && isLost(query.status)) where.push(lostSql(query.status));
  if (owner !== null && query.status === "held" && query.endpoint !== undefined) {
    where.push("endpoint_id = ?6 AND status = 'held'");
  }
  where.push("(event_seq, endpoint_id) < (?2, ?3)", inRange("event_seq", "?4", "?5"));
  const source = `SELECT * FROM delivery WHERE ${where.join(" AND ")} ${order} LIMIT ?7`;
  const shown = `SELECT d.*, ${EVENT_OF} FROM (${source}) AS d JOIN event ON event.seq = d.event_seq
    WHERE (?6 IS NULL OR d.endpoint_id = ?6) AND (?8 IS NULL OR d.status = ?8) AND (?9 IS NULL OR d.type = ?9) AND ${RANGE}
    ${order} LIMIT ?12`;
  const placeOf = (row: DeliveryOfEvent) => ({ seq: row.event_seq, endpointId: row.endpoint_id });
  return pageOf(db, owner, query, { source, shown, placeOf });
}

/** As `listDeliveries`, of events; a status or an endpoint means: has a delivery with it. */
export function listEvents(
  db: D1Database,
  owner: string | null,
  query: LogQuery,
): Promise<Rows<EventWithCounts>> {
  const { status } = query;
  const where = (seq: string) =>
    `${owner === null ? "?1 IS NULL" : "owner = ?1"} AND ${seq} < ?2 AND ${inRange(seq, "?4", "?5")}`;
  const source =
    owner !== null && isLost(status)
      ? `SELECT DISTINCT event_seq AS seq FROM delivery WHERE ${lostSql(status)} AND ${where("event_seq")}
         ORDER BY event_seq DESC LIMIT ?7`
      : // Served by event_owner, or by the primary key.
        `SELECT seq FROM event WHERE ${where("seq")} ORDER BY seq DESC LIMIT ?7`;
  const has = (condition: string) =>
    `EXISTS (SELECT 1 FROM delivery WHERE event_seq = event.seq AND ${condition})`;
  const shown = `SELECT event.*, ${COUNTS} FROM (${source}) AS looked JOIN event ON event.seq = looked.seq
    WHERE (?6 IS NULL OR ${has("endpoint_id = ?6")}) AND (?8 IS NULL OR ${has("status = ?8")}) AND (?9 IS NULL OR type = ?9)
      AND ${RANGE} ORDER BY event.seq DESC LIMIT ?12`;
  const placeOf = ({ seq }: EventWithCounts) => ({ seq, endpointId: "" });
  return pageOf(db, owner, query, { source, shown, placeOf });
}

/**
 * A filter without an index looks at WINDOW_ROWS rows, so a page may have fewer rows than requested, even none, and still
 * a next page.
 */
async function pageOf<Row>(
  db: D1Database,
  owner: string | null,
  { status, endpoint, type, since, until, limit = PAGE_DEFAULT, cursor = TOP }: LogQuery,
  { source, shown, placeOf }: { source: string; shown: string; placeOf: (row: Row) => Place },
): Promise<Rows<Row>> {
  // What an index of a status serves alone needs no window.
  const isServed = owner !== null && isLost(status);
  const unserved = [isServed ? undefined : status, endpoint, type, since, until];
  const isFiltered = unserved.some((one) => one !== undefined);
  const looked = isFiltered ? WINDOW_ROWS : limit + 1;
  const { seq, endpointId } = cursor;
  const place = [owner, seq, endpointId, ...idsOf({ since, until }), endpoint ?? null, looked];
  const filter = [status ?? null, type ?? null, since ?? null, until ?? null];
  const [rows = [], edge = []] = await batch<Row>(db, [
    [shown, ...place, ...filter, limit + 1],
    // The last row that was looked at, if there may be more after it.
    [`SELECT * FROM (${source}) LIMIT 1 OFFSET ?7 - 1`, ...place],
  ]);
  const page = rows.slice(0, limit);
  const end = isFiltered ? edge[0] : undefined;
  const last = rows.length > limit ? page.at(-1) : end;
  return { rows: page, next: last ? placeOf(last) : null };
}

/** An owner's event with its counts, or null. */
export function findEvent(
  db: D1Database,
  owner: string,
  id: string,
): Promise<EventWithCounts | null> {
  const sql = `SELECT event.*, ${COUNTS} FROM event WHERE id = ?1 AND owner = ?2`;
  return first<EventWithCounts>(db, sql, id, owner);
}

/** The deliveries of an owner's event; of one endpoint, or of all. */
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

/** Counts stop here: a summary reads no more rows than this of each status. */
export const COUNT_MAX = 1_000;

/**
 * How many deliveries of an owner, or of all if `owner` is null, have which status, and why they wait, most frequent
 * first. Each count reads a bounded part of a partial index.
 */
export async function summaryOf(
  db: D1Database,
  owner: string | null,
  now: number,
): Promise<Summary> {
  const some = (select: string, where: string, from = "delivery") =>
    `SELECT ${select} FROM ${from} WHERE ${owner === null ? "?1 IS NULL" : "owner = ?1"} AND ${where} LIMIT ?2`;
  const held =
    owner === null
      ? some("1", "status = 'held'")
      : `SELECT 1 FROM outbox_endpoint AS e JOIN delivery AS d
         ON d.endpoint_id = e.id AND d.status = 'held' WHERE e.owner = ?1 LIMIT ?2`;
  const count = (rows: string) => `SELECT count(*) AS n FROM (${rows})`;
  const waiting = "status = 'pending'";
  // For a column that the index lacks, SQLite would rather read all of the owner's deliveries.
  const byStatus = "delivery INDEXED BY delivery_pending";
  const statements = [
    ...[some("1", waiting), some("1", "status = 'sending'"), held].map(count),
    ...[some("1", lostSql("failed")), some("1", lostSql("dead"))].map(count),
    `SELECT min(event.occurred_at) AS at FROM (${some("event_seq", waiting, byStatus)}) AS d
     JOIN event ON event.seq = d.event_seq`,
    `SELECT error, count(*) AS n FROM (${some("error", waiting, byStatus)})
     WHERE error IS NOT NULL GROUP BY error ORDER BY n DESC LIMIT 5`,
  ];
  const results = await batch<{ n: number; at: number | null; error: string }>(
    db,
    statements.map((sql): Statement => [sql, owner, COUNT_MAX]),
  );
  const [pending = 0, sending = 0, inHold = 0, failed = 0, dead = 0] = results.map(
    ([row]) => row?.n ?? 0,
  );
  const oldest = results[5]?.[0]?.at ?? null;
  return {
    ...{ pending, sending, held: inHold, failed, dead },
    oldest_pending_ms: oldest === null ? null : Math.max(0, now - oldest),
    errors: (results[6] ?? []).map(({ error, n }) => ({ error, deliveries: n })),
  };
}
