/** Events that change nothing, for one endpoint: pings, and test events of any type. */
import type { Statement } from "../storage.ts";
import { PING, type Registry } from "./resource.ts";
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
  return write(db, request, [PING.type, null, null, null, 0]);
}

/**
 * Writes a test event: the example of a type, whose webhook says that it is a test.
 * @returns null if the endpoint is not active, or not the owner's
 * @throws UncertainError
 */
export function commitTest(
  db: D1Database,
  resources: Registry,
  request: PingRequest & { type: string },
): Promise<Written | null> {
  const { type } = request;
  for (const { name, types } of resources.values()) {
    const declared = types.get(type);
    if (!declared) continue;
    const { id = "" } = (declared.example ?? {}) as { id?: string | number };
    return write(db, request, [type, name, String(id), JSON.stringify(declared.example), 1]);
  }
  return write(db, request, [PING.type, null, null, null, 1]);
}

function write(
  db: D1Database,
  { id, owner, endpointId, now }: PingRequest,
  [type, resource, resourceId, data, test]: unknown[],
): Promise<Written | null> {
  const insert: Statement = [
    INSERT,
    ...[id, owner, type, now, resource, endpointId, resourceId, data, test],
  ];
  return writeEvent(db, { id, endpointId, now, lease: now + LEASE_MS }, insert);
}
