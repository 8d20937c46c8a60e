/** Who works on an endpoint: claims, owners in turn, and what is recorded when one ends. */
import { first } from "../storage.ts";
import { type Change, type EndpointRow, type WithHeld, want } from "./table.ts";

/** Lease of whoever works on an endpoint: longer than its calls to Convoy take. */
const CLAIM_MS = 90_000;

/** A record that is ours until its `lease_until`, which is when it is due again if we die. */
export type Claimed = EndpointRow & { lease_until: number };

const CLAIM = "UPDATE endpoint SET lease_until = ?2, due_at = ?2 WHERE";
const isFree = (now: string) => `coalesce(lease_until, 0) <= ${now}`;
const IS_FREE = isFree("?1");

/** Claims an endpoint if nobody works on it. */
export function claim(db: D1Database, id: string): Promise<Claimed | null> {
  const now = Date.now();
  const sql = `${CLAIM} id = ?3 AND ${IS_FREE} RETURNING *`;
  return first<Claimed>(db, sql, now, now + CLAIM_MS, id);
}

/** Changes what is wanted and claims it, if nobody works on it. */
export async function claimWanting(
  db: D1Database,
  one: Pick<EndpointRow, "id" | "owner">,
  to: Change,
) {
  const lease_until = Date.now() + CLAIM_MS;
  const { before, row } = await want(
    db,
    one,
    { ...to, lease_until, due_at: lease_until },
    isFree("?3"),
  );
  return { before, claimed: row as (WithHeld & Claimed) | undefined };
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

/** Claims what is due of the next owner after `place`. */
export function claimNext(db: D1Database, place: string): Promise<Claimed | null> {
  const now = Date.now();
  return first<Claimed>(db, CLAIM_NEXT, now, now + CLAIM_MS, place);
}

/** Claims what is due of one owner, but no unfinished creation. */
export function claimOf(db: D1Database, owner: string): Promise<Claimed | null> {
  const now = Date.now();
  return first<Claimed>(db, CLAIM_OF, now, now + CLAIM_MS, owner);
}

/**
 * What to record when a claim ends. `due_at`: when there is something to do again; null: never. `holds`: a call may still
 * be carried out at Convoy, so that nobody may make another one before the lease is over.
 */
export type Learned = Partial<Omit<EndpointRow, "id" | "owner" | "lease_until">> & {
  due_at: number | null;
  holds?: boolean;
};

// What only the holder of a claim writes: as it was seen.
const SEEN = ["applied", "there", "error", "failures", "header_name"];
const SHOWN = ["name", "url", "description", "http_timeout_s", "there", "header_name"] as const;
// Columns that change only together.
const RATE = ["rate_requests", "rate_per_s"];

/**
 * Ends a claim that is still ours. What somebody else has changed since it began stays as it is now.
 */
export async function endClaim(
  db: D1Database,
  claimed: Claimed,
  { holds = false, ...learned }: Learned,
): Promise<void> {
  const values: unknown[] = [claimed.id, claimed.lease_until, holds ? claimed.lease_until : null];
  const bind = (value: unknown) => `?${values.push(value ?? null)}`;
  const was = claimed as Record<string, unknown>;
  const sets = Object.entries(learned).map(([column, value]) => {
    if (SEEN.includes(column)) return `${column} = ${bind(value)}`;
    const together = RATE.includes(column) ? RATE : [column];
    const isUnchanged = together.map((one) => `${one} IS ${bind(was[one])}`).join(" AND ");
    return `${column} = iif(${isUnchanged}, ${bind(value)}, ${column})`;
  });
  const isShown = SHOWN.some((one) => one in learned && learned[one] !== claimed[one]);
  if (isShown) sets.push(`updated_at = ${bind(Date.now())}`);
  const sql = `UPDATE endpoint SET lease_until = ?3, ${sets} WHERE id = ?1 AND lease_until = ?2`;
  await first(db, sql, ...values);
}
