/** Writes an event and its deliveries in one transaction: the only code that inserts either for a caller. */
import { sleep } from "../run.ts";
import { batch, type Statement, StorageError } from "../storage.ts";
import type { DeliveryRow, EventRow } from "./rows.ts";

/** How long a worker owns what it works on: three times waitUntil's 30 s after a response. */
export const LEASE_MS = 90_000;
/** Of an endpoint with a rate limit, as many are under way as it takes in this time; the rest waits in the log. */
export const RATE_WINDOW_S = 600;

// How often it is tried if the answer is lost, and the first wait, doubled each time.
const TRIES = 3;
const RETRY_MS = 50;

/** An event that was just written, and its deliveries: ours until `due_at` where that is the lease. */
export type Written = { event: EventRow; deliveries: DeliveryRow[] };

/** An answer of D1 was lost, and no later one said what came of it. */
export class UncertainError extends Error {
  override readonly name = "UncertainError";
}

/** SQL, for ?6 an endpoint's id and ?2 an owner: whether it is one of the owner's. */
export const ENDPOINT_IS_OWNERS =
  "EXISTS (SELECT 1 FROM outbox_endpoint WHERE id = ?6 AND owner = ?2)";

// How many deliveries of a limited endpoint may be under way, and whether they are.
const QUOTA = `max(1, ${RATE_WINDOW_S} * e.rate_requests / e.rate_per_s)`;
const IS_FULL = `e.rate_requests IS NOT NULL AND (SELECT count(*) FROM delivery AS d
    WHERE d.owner = e.owner AND d.status = 'sending' AND d.endpoint_id = e.id) >= ${QUOTA}`;

/**
 * SQL that inserts the deliveries of events that a condition names: one for each of the owner's endpoints that takes
 * the type, or for the endpoint ?2. ?3 is now, ?4 the lease. Held if the endpoint is not active; left to the cron if it
 * has enough under way.
 */
function deliverSql(isEvent: string): string {
  return `
INSERT INTO delivery (event_seq, endpoint_id, owner, type, status, due_at)
SELECT event.seq, e.id, event.owner, event.type, iif(e.active, 'pending', 'held'),
  CASE WHEN NOT e.active THEN NULL WHEN ${IS_FULL} THEN ?3 ELSE ?4 END
FROM event JOIN outbox_endpoint AS e ON e.owner = event.owner
WHERE ${isEvent} AND iif(?2 IS NOT NULL, e.id = ?2,
  e.event_types IS NULL OR EXISTS (SELECT 1 FROM json_each(e.event_types) WHERE value = event.type))
ON CONFLICT DO NOTHING
RETURNING *`;
}

const DELIVER = deliverSql("event.id = ?1");
const DELIVER_ALL = deliverSql("event.id IN (SELECT value FROM json_each(?1))");

/** The statement that gives these events their deliveries, due at `now`: for whoever inserts events in bulk. */
export function deliverAll(eventIds: string[], now: number): Statement {
  return [DELIVER_ALL, JSON.stringify(eventIds), null, now, now];
}

/**
 * Runs an insert of one event, idempotent by its id, and that of its deliveries. A lost answer is looked up, then
 * tried again.
 * @returns null if the insert's conditions do not hold: nothing was written
 * @throws UncertainError if an answer was lost: not even a refusal after it proves that nothing was written, since the
 *   first try may still land
 * @throws StorageError if nothing was written
 */
export async function writeEvent(
  db: D1Database,
  {
    id,
    endpointId,
    now,
    lease,
  }: { id: string; endpointId: string | null; now: number; lease: number },
  insert: Statement,
): Promise<Written | null> {
  const deliver: Statement = [DELIVER, id, endpointId, now, lease];
  let lost = false;
  for (let attempt = 1; ; attempt++) {
    try {
      if (lost) {
        const found = await findWritten(db, id);
        if (found) return found;
      }
      const written = toWritten(await batch(db, [insert, deliver]));
      if (written) return written;
      if (!lost) return null;
      const found = await findWritten(db, id);
      if (found) return found;
      throw new UncertainError(`event ${id}`);
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (error.reason !== "lost" && !lost) throw error;
      if (attempt === TRIES) throw new UncertainError(`event ${id}`, { cause: error });
      lost = true;
      await sleep(RETRY_MS * 2 ** (attempt - 1));
    }
  }
}

async function findWritten(db: D1Database, id: string): Promise<Written | null> {
  const found = await batch(db, [
    ["SELECT * FROM event WHERE id = ?1", id],
    ["SELECT * FROM delivery WHERE event_seq = (SELECT seq FROM event WHERE id = ?1)", id],
  ]);
  return toWritten(found);
}

function toWritten([events = [], deliveries = []]: unknown[][]): Written | null {
  const [event] = events as EventRow[];
  return event ? { event, deliveries: deliveries as DeliveryRow[] } : null;
}
