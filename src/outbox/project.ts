/** The cron's part of projection: what requests left undone. One put serves all rows of a resource that are due. */
import type { Budget } from "../run.ts";
import { batch } from "../storage.ts";
import {
  type Latest,
  lastChangeOf,
  type Marked,
  markStatement,
  putAll,
  type ResourceKey,
  type Stores,
} from "./projection.ts";
import { keepTurnSql, turnSql } from "./turns.ts";
import { LEASE_MS } from "./write.ts";

/** What one run did: puts into KV, changes that KV has now, and puts that KV refused. */
export type ProjectReport = { puts: number; projected: number; refused: number };

/** The last change of a resource that is ours: its row `claimed` is, until the lease is over. */
type Claimed = Latest & { claimed: number };

// Resources per claim; rows among which they are looked for.
const CLAIM_MAX = 100;
const ROWS_MAX = 2_000;
// The claim, and recording.
const AROUND = 2;
// Wait before a resource that KV refused, or that others keep changing, is put again: until the next run.
const RETRY_MS = 50_000;

const LAST = lastChangeOf("event");

/**
 * ?1 the place, ?2 the time, ?3 the limit, ?4 the lease, ?5 resources that this run has tried in vain, ?6 the nouns: what
 * is left of one that is no longer in the code holds nothing up. Of each owner in turn the resources that are due first.
 * One row of each is leased: the others that are due stay so. Exported for EXPLAIN in a test.
 */
export const CLAIM = `${turnSql("project")},
lane (owner, n) AS MATERIALIZED (SELECT owner, row_number() OVER (ORDER BY round, owner) FROM turn),
share (rows) AS MATERIALIZED (SELECT CAST(1 + ${ROWS_MAX} / max(1, count(*)) AS INTEGER) FROM lane),
wanted AS (
  SELECT j.value AS seq FROM lane CROSS JOIN json_each((SELECT json_group_array(seq) FROM (
    SELECT seq, min(due_at) AS due_at FROM (
      SELECT seq, resource, resource_id, due_at FROM event
      WHERE projected = 0 AND owner = lane.owner AND due_at <= ?2 AND resource IN (SELECT value FROM json_each(?6))
      ORDER BY due_at LIMIT (SELECT rows FROM share)
    ) AS e WHERE NOT EXISTS (SELECT 1 FROM json_each(?5) AS tried WHERE tried.value ->> 'owner' = lane.owner
      AND tried.value ->> 'resource' = e.resource AND tried.value ->> 'resource_id' = e.resource_id)
    GROUP BY resource, resource_id ORDER BY due_at))) AS j
  ORDER BY j.key, lane.n LIMIT ?3
)
UPDATE event SET due_at = ?4 WHERE projected = 0 AND seq IN (SELECT seq FROM wanted)
RETURNING seq AS claimed, owner, resource, resource_id, ${LAST} AS seq, (SELECT data FROM event AS last WHERE last.seq = ${LAST}) AS data`;

const KEEP_TURN = keepTurnSql("project");

/**
 * Rows that were due when ours was claimed were nobody's: whoever had them puts nothing any more. ?1 what was put, ?2 the
 * time of the claim. Served by event_resource. Exported for EXPLAIN in a test.
 */
export const MARK_DUE = `
UPDATE event SET projected = 1, due_at = NULL
FROM (SELECT value ->> 'owner' AS owner, value ->> 'resource' AS resource, value ->> 'resource_id' AS resource_id,
  value ->> 'seq' AS put FROM json_each(?1)) AS p
WHERE event.owner = +p.owner AND event.resource = +p.resource AND event.resource_id = +p.resource_id
  AND event.change IS NOT NULL AND event.projected = 0 AND +event.due_at <= ?2 AND p.put = ${lastChangeOf("p")}
RETURNING seq`;

/**
 * Puts the last change of resources that KV may lack, owners in turn, until nothing is due or the budget is spent. What
 * KV refuses, or others keep changing, is left to the next run. If D1 does not respond, claimed rows are due when their
 * lease ends.
 * @param turn the place where the last turn ended
 */
export async function projectDue(
  stores: Stores,
  budget: Budget,
  turn = "",
): Promise<ProjectReport> {
  const report: ProjectReport = { puts: 0, projected: 0, refused: 0 };
  const tried: ResourceKey[] = [];
  const { DB } = stores.env;
  const nouns = [...stores.outbox.resources.keys()];
  for (let place = turn; ; ) {
    const limit = Math.min(CLAIM_MAX, budget.left() - AROUND);
    if (limit < 1) return report;
    const now = Date.now();
    const claim = await claimResources(DB, { place, now, limit, tried, nouns });
    if (claim.rows.length === 0) return report;
    place = claim.place;
    const may = () => budget.left() >= AROUND;
    const { put, refused } = await putAll(stores, claim.rows, now + LEASE_MS, may);
    const left = claim.rows.filter((row) => !put.includes(row) && !refused.includes(row));
    const { marked, unmarked } = await record(DB, { put, refused, left, now });
    report.puts += put.length;
    report.projected += marked;
    report.refused += refused.length;
    tried.push(...unmarked.map(keyOf));
    if (put.length === 0) return report;
  }
}

function keyOf({ owner, resource, resource_id }: ResourceKey): ResourceKey {
  return { owner, resource, resource_id };
}

async function claimResources(
  db: D1Database,
  given: { place: string; now: number; limit: number; tried: ResourceKey[]; nouns: string[] },
): Promise<{ rows: Claimed[]; place: string }> {
  const turn = [given.place, given.now, given.limit];
  const [kept = [], rows = []] = await batch<Claimed & { place: string }>(db, [
    [KEEP_TURN, ...turn],
    [
      CLAIM,
      ...[...turn, given.now + LEASE_MS, JSON.stringify(given.tried), JSON.stringify(given.nouns)],
    ],
  ]);
  return { place: kept[0]?.place ?? given.place, rows };
}

/**
 * Looks again after the puts of what was claimed at `now`, in one transaction.
 * @returns how many changes KV has now, and the resources of which it lacks the last one
 */
async function record(
  db: D1Database,
  { put, refused, left, now }: Record<"put" | "refused" | "left", Claimed[]> & { now: number },
): Promise<{ marked: number; unmarked: Claimed[] }> {
  const ended = Date.now();
  const again = { lease: now + LEASE_MS, due_at: ended + RETRY_MS };
  const projected = [
    ...put.map(({ claimed, seq }) => ({ ...again, seq: claimed, put: seq })),
    ...refused.map(({ claimed }) => ({ ...again, seq: claimed, put: null })),
    ...left.map(({ claimed }) => ({ ...again, seq: claimed, put: null, due_at: ended })),
  ];
  const puts = put.map((row) => ({ ...keyOf(row), seq: row.seq }));
  const [ours = [], others = []] = await batch<Marked>(db, [
    markStatement(projected),
    [MARK_DUE, JSON.stringify(puts), now],
  ]);
  const last = new Set(ours.filter((row) => row.projected === 1).map(({ seq }) => seq));
  const unmarked = [...put, ...refused, ...left].filter(({ claimed }) => !last.has(claimed));
  return { marked: last.size + others.length, unmarked };
}
