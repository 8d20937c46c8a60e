/** KV follows the log: after a put, look again (docs/design.md). */
import type { Bindings } from "../settings.ts";
import { all, type Statement } from "../storage.ts";
import type { Outbox } from "./outbox.ts";
import { pool } from "./pool.ts";
import type { EventRow } from "./rows.ts";
import { writeValue } from "./store.ts";

/** Which resource, and whose. */
export type ResourceKey = { owner: string; resource: string; resource_id: string };

/** KV, the log and the nouns. */
export type Stores = { env: Pick<Bindings, "DB" | "KV">; outbox: Pick<Outbox, "resources"> };

/** The last change of a resource. */
export type Latest = ResourceKey & Pick<EventRow, "seq" | "data">;

// Puts refused by KV in a row before a worker stops putting.
const PUT_FAILURES_MAX = 3;
// KV takes six connections at a time.
const PUTS_AT_ONCE = 6;

/** SQL: the seq of a resource's last change, given a table's alias. Served by event_resource. */
export function lastChangeOf(alias: string): string {
  return `(SELECT max(seq) FROM event AS later WHERE later.owner = ${alias}.owner
    AND later.resource = ${alias}.resource AND later.resource_id = ${alias}.resource_id AND later.change IS NOT NULL)`;
}

const LATEST = `
SELECT event.seq, event.owner, event.resource, event.resource_id, event.data
FROM (SELECT ?1 ->> 'owner' AS owner, ?1 ->> 'resource' AS resource, ?1 ->> 'resource_id' AS resource_id) AS wanted
JOIN event ON event.seq = ${lastChangeOf("wanted")}`;

/**
 * Puts these changes into KV, as long as `may` allows it. Nothing is put once the lease is over: the put could land on
 * another worker's. If KV refuses a few in a row, the rest is left.
 * @returns those that KV took, and those that it refused
 */
export async function putAll<Change extends Latest>(
  stores: Stores,
  changes: Change[],
  lease: number,
  may: () => boolean = () => true,
): Promise<{ put: Change[]; refused: Change[] }> {
  const queue = [...changes];
  const put: Change[] = [];
  const refused: Change[] = [];
  let failures = 0;
  await pool({
    width: () => PUTS_AT_ONCE,
    next() {
      if (Date.now() >= lease || failures >= PUT_FAILURES_MAX || !may()) return undefined;
      return queue.shift();
    },
    async work(change) {
      if (await putOne(stores, change)) {
        failures = 0;
        put.push(change);
      } else {
        failures++;
        refused.push(change);
      }
    },
  });
  return { put, refused };
}

async function putOne({ env, outbox }: Stores, change: Latest): Promise<boolean> {
  const resource = outbox.resources.get(change.resource);
  // A noun that is no longer in the code.
  if (!resource) return false;
  try {
    await writeValue(env.KV, resource, change.owner, change.resource_id, change);
    return true;
  } catch {
    return false; // KV's 429, its quota or an outage: later
  }
}

/** The last change of one resource, put into KV. @returns its seq; null if KV refused */
export async function putLatest(
  stores: Stores,
  one: ResourceKey,
  lease: number,
): Promise<number | null> {
  const latest = await all<Latest>(stores.env.DB, LATEST, JSON.stringify(one));
  const { put } = await putAll(stores, latest, lease);
  return put[0]?.seq ?? null;
}

/** A change that was ours until `lease`. `put`: the version of its resource that we put into KV; null: none. */
export type Projected = { seq: number; lease: number; put: number | null; due_at: number };

/** The change in the log afterwards. */
export type Marked = Pick<EventRow, "seq" | "projected" | "due_at">;

// The check after the put: what was put is the resource's last change. Another worker's row must not be marked, since
// its late put can still land on top: hence the lease.
const MARK = `
UPDATE event SET projected = m.is_last, due_at = iif(m.is_last, NULL, m.due_at)
FROM (
  SELECT e.seq, j.value ->> 'due_at' AS due_at, coalesce(j.value ->> 'put' >= ${lastChangeOf("e")}, 0) AS is_last
  FROM json_each(?1) AS j JOIN event AS e ON e.seq = j.value ->> 'seq' AND e.due_at = j.value ->> 'lease'
) AS m
WHERE event.seq = m.seq RETURNING seq, projected, due_at`;

/**
 * The statement that marks changes as projected if KV has their resource's last change; else they are due at
 * `due_at`, which may be the lease itself. It returns the rows that were still ours, as `Marked`.
 */
export function markStatement(projected: Projected[]): Statement {
  return [MARK, JSON.stringify(projected)];
}
