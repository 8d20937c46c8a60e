/**
 * The commit point: one transaction writes the event and its deliveries, and is the commit of the change
 * (docs/design.md).
 */
import { first, type Statement, StorageError } from "../storage.ts";
import type { AnyResource, Guard } from "./resource.ts";
import type { Change } from "./rows.ts";
import { ENDPOINT_IS_OWNERS, LEASE_MS, UncertainError, type Written, writeEvent } from "./write.ts";

/** A change to commit. `known`: the value as KV has it, possibly stale, or null. `patch`: RFC 7396. */
export type ChangeToCommit = {
  id: string;
  owner: string;
  resource: AnyResource;
  resourceId: string;
  change: Change;
  type: string;
  patch: object;
  guard: Guard | null;
  /** Null: all of the owner's endpoints that take the type. */
  endpointId: string | null;
  known: string | null;
  now: number;
};

/** The outcome of a change. */
export type CommitResult =
  | { kind: "committed"; written: Written }
  | { kind: "exists" | "endpoint not found" | "guarded" | "busy" }
  /** With a `failed` event if the caller named an endpoint of its own. */
  | { kind: "not found"; failed: Written | null }
  /** An answer of D1 was lost: it may or may not have been committed. */
  | { kind: "uncertain" };

// How often a commit is tried if the resource changes between the statement and its explanation.
const ROUNDS = 3;

// ?1 id, ?2 owner, ?3 resource, ?4 resource_id, ?5 the value in KV, ?6 the endpoint that was named. The latest row
// wins over KV's answer, which may be stale. Served by index event_resource.
const CURRENT = `
WITH latest AS (
  SELECT change, data FROM event
  WHERE owner = ?2 AND resource = ?3 AND resource_id = ?4 AND change IS NOT NULL ORDER BY seq DESC LIMIT 1
), current AS (
  SELECT CASE WHEN EXISTS (SELECT 1 FROM latest)
    THEN (SELECT iif(change = 'delete', NULL, data) FROM latest) ELSE ?5 END AS data
)`;

/** Checks, merges and logs the change in D1's single-writer order. */
function commitSql(guard: Guard | null): string {
  return `${CURRENT}
INSERT INTO event (id, owner, resource, resource_id, type, change, data, occurred_at, projected, due_at)
SELECT ?1, ?2, ?3, ?4, ?7, ?8,
  CASE ?8 WHEN 'create' THEN json(?9) WHEN 'update' THEN json_patch(current.data, ?9) END, ?10, 0, ?11
FROM current
WHERE (current.data IS NOT NULL) = (?8 <> 'create') AND (?6 IS NULL OR ${ENDPOINT_IS_OWNERS})${guard ? ` AND (${guard.sql})` : ""}
ON CONFLICT (id) DO NOTHING RETURNING *`;
}

// The resource is missing and the caller named an endpoint of its own: that is an event too.
const FAILED = `${CURRENT}
INSERT INTO event (id, owner, resource, resource_id, type, occurred_at)
SELECT ?1, ?2, ?3, ?4, ?7, ?8 FROM current WHERE current.data IS NULL AND ${ENDPOINT_IS_OWNERS}
ON CONFLICT (id) DO NOTHING RETURNING *`;

function explainSql(guard: Guard | null): string {
  const allowed = guard ? `coalesce((${guard.sql}), 0)` : "1";
  return `${CURRENT}
SELECT ?1 AS id, current.data IS NOT NULL AS present, ?6 IS NULL OR ${ENDPOINT_IS_OWNERS} AS endpoint, ${allowed} AS allowed
FROM current`;
}

type Explained = { present: number; endpoint: number; allowed: number };

/**
 * Commits the change, or says why not. After a lost answer it retries with the same id, which can commit only once.
 * @throws StorageError if nothing was changed for certain: the tables are missing, or D1 refused
 */
export async function commit(db: D1Database, one: ChangeToCommit): Promise<CommitResult> {
  const { id, owner, resource, resourceId, change, type, patch, guard, endpointId, known, now } =
    one;
  const place = [id, owner, resource.name, resourceId, known, endpointId];
  const lease = now + LEASE_MS;
  const insert: Statement = [
    commitSql(guard),
    ...place,
    ...[type, change, JSON.stringify(patch), now, lease],
  ];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const written = await writeEvent(db, { id, endpointId, now, lease }, insert);
      if (written) return { kind: "committed", written };
      const why = await first<Explained>(db, explainSql(guard), ...place);
      if (!why?.endpoint) return { kind: "endpoint not found" };
      if (change === "create" && why.present) return { kind: "exists" };
      if (change !== "create" && !why.present) {
        return { kind: "not found", failed: await writeFailed(db, one, place) };
      }
      if (!why.allowed) return { kind: "guarded" };
    }
    return { kind: "busy" };
  } catch (error) {
    if (error instanceof UncertainError) return { kind: "uncertain" };
    throw error;
  }
}

/** The event of a change that found nothing, for the endpoint that was named; null if none was. */
async function writeFailed(
  db: D1Database,
  { id, resource, endpointId, now }: ChangeToCommit,
  place: unknown[],
): Promise<Written | null> {
  if (endpointId === null) return null;
  const insert: Statement = [FAILED, ...place, resource.verbs.failed.type, now];
  try {
    return await writeEvent(db, { id, endpointId, now, lease: now + LEASE_MS }, insert);
  } catch (error) {
    // The change was certainly not made. If the event was written after all, the cron delivers it.
    if (error instanceof UncertainError || error instanceof StorageError) return null;
    throw error;
  }
}
