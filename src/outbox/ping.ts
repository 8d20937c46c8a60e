/** Events that change nothing, for one endpoint: pings, and test events of any type. */
import { exampleOf } from "./message.ts";
import { type EventType, eventTypesOf, PING, type Registry } from "./resource.ts";
import type { SqlBoolean } from "./rows.ts";
import { ENDPOINT_IS_OWNERS, LEASE_MS, type Written, writeEvent } from "./write.ts";

/** Which endpoint, under which id, when (ms). */
export type PingRequest = { id: string; owner: string; endpointId: string; now: number };

// Only for an endpoint that is active: a ping that waits for one that is not would tell nothing.
const INSERT = `
INSERT INTO event (id, owner, type, occurred_at, resource, resource_id, data, test)
SELECT ?1, ?2, ?3, ?4, ?5, ?7, ?8, ?9
WHERE ${ENDPOINT_IS_OWNERS} AND (SELECT active FROM outbox_endpoint WHERE id = ?6)
ON CONFLICT (id) DO NOTHING RETURNING *`;

/**
 * Writes a ping. Null: the endpoint is not active, or not the owner's.
 * @throws UncertainError
 */
export function commitPing(db: D1Database, request: PingRequest): Promise<Written | null> {
  return write(db, request, PING, 0);
}

/**
 * Writes a test event: the example of a type, whose webhook says that it is a test. Null: as for a ping.
 * @throws UncertainError
 */
export function commitTest(
  db: D1Database,
  resources: Registry,
  request: PingRequest & { type: string },
): Promise<Written | null> {
  const declared = eventTypesOf(resources).find(({ type }) => type === request.type);
  return write(db, request, declared ?? PING, 1);
}

function write(
  db: D1Database,
  { id, owner, endpointId, now }: PingRequest,
  eventType: EventType,
  test: SqlBoolean,
): Promise<Written | null> {
  const { type, resource, resource_id, data } = exampleOf(eventType);
  const place = [id, owner, type, now, resource, endpointId, resource_id, data, test];
  return writeEvent(db, { id, endpointId, now, lease: now + LEASE_MS }, [INSERT, ...place]);
}
