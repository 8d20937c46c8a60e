/** Who works on an endpoint: claims, owners in turn, and what is recorded when one ends. */
import { first } from "../storage.ts";
import { type Applied, type EndpointRow, setUnchanged } from "./table.ts";

/** Lease of whoever works on an endpoint: longer than its calls to Convoy take. */
const CLAIM_MS = 90_000;

/** A record that is ours until its `lease_until`, which is when it is due again if we die. */
export type Claimed = EndpointRow & { lease_until: number };

const CLAIM = "UPDATE endpoint SET lease_until = ?2, due_at = ?2 WHERE";
const IS_FREE = "coalesce(lease_until, 0) <= ?1";

/** Claims an endpoint if nobody works on it. @throws StorageError */
export function claim(db: D1Database, id: string): Promise<Claimed | null> {
  const now = Date.now();
  const sql = `${CLAIM} id = ?3 AND ${IS_FREE} RETURNING *`;
  return first<Claimed>(db, sql, now, now + CLAIM_MS, id);
}

// The next owner after a place with something due: one step of endpoint_due for each owner with anything in it.
const nextOwner = (place: string) => `(
  WITH RECURSIVE step (owner) AS (
    SELECT min(owner) FROM endpoint WHERE due_at IS NOT NULL AND owner > ${place}
    UNION ALL
    SELECT (SELECT min(owner) FROM endpoint WHERE due_at IS NOT NULL AND owner > step.owner) FROM step
    WHERE step.owner IS NOT NULL
  )
  SELECT owner FROM step
  WHERE EXISTS (SELECT 1 FROM endpoint WHERE owner = step.owner AND due_at <= ?1 AND ${IS_FREE}) LIMIT 1)`;

// What waits longest; what was cut off comes after what a caller wants.
const claimFirst = (which: string) => `${CLAIM} id = (
  SELECT id FROM endpoint WHERE ${which} AND due_at <= ?1 AND ${IS_FREE}
  ORDER BY wanted = 'creating', due_at LIMIT 1
) RETURNING *`;
/** Exported for EXPLAIN in a test. */
export const CLAIM_NEXT = claimFirst(`owner = coalesce(${nextOwner("?3")}, ${nextOwner("''")})`);
const CLAIM_OF = claimFirst("owner = ?3 AND wanted <> 'creating'");

/** Claims what is due of the next owner after `place`. @throws StorageError */
export function claimNext(db: D1Database, place: string): Promise<Claimed | null> {
  const now = Date.now();
  return first<Claimed>(db, CLAIM_NEXT, now, now + CLAIM_MS, place);
}

/** Claims what is due of one owner, but no unfinished creation. @throws StorageError */
export function claimOf(db: D1Database, owner: string): Promise<Claimed | null> {
  const now = Date.now();
  return first<Claimed>(db, CLAIM_OF, now, now + CLAIM_MS, owner);
}

/** What was learned under a claim, and when it is due again; null: nothing is to be done. */
export type Learned = Partial<
  Applied & Pick<EndpointRow, "applied" | "there" | "error" | "failures" | "header_name" | "lift">
>;

// What only the holder of a claim writes, and what Convoy was seen to have.
const SEEN = ["applied", "there", "error", "failures", "header_name"] as const;
const SHOWN = ["name", "url", "description", "http_timeout_s", "there", "header_name"] as const;

/**
 * Ends a claim that is still ours. What a caller wants by now stays, and is due.
 * `holds`: a call may still be carried out at Convoy, so that nobody may make another one before the lease is over.
 * @returns the record afterwards; null if it was no longer ours
 * @throws StorageError
 */
export function endClaim(
  db: D1Database,
  claimed: Claimed,
  { due_at, holds = false, ...learned }: Learned & { due_at: number | null; holds?: boolean },
): Promise<EndpointRow | null> {
  const isShown = SHOWN.some((column) => (learned[column] ?? claimed[column]) !== claimed[column]);
  const values: unknown[] = [claimed.id, claimed.lease_until, holds ? claimed.lease_until : null];
  const bind = (value: unknown) => `?${values.push(value)}`;
  const seen = SEEN.filter((column) => learned[column] !== undefined);
  const merged = Object.fromEntries(
    Object.entries(learned).filter(([column]) => !seen.some((one) => one === column)),
  );
  const sets = [
    "lease_until = ?3",
    ...seen.map((column) => `${column} = ${bind(learned[column])}`),
    ...(isShown ? [`updated_at = ${bind(Date.now())}`] : []),
    setUnchanged(claimed, { ...merged, due_at }, values),
  ];
  const sql = `UPDATE endpoint SET ${sets.join(", ")} WHERE id = ?1 AND lease_until = ?2 RETURNING *`;
  return first<EndpointRow>(db, sql, ...values);
}
