/** The cron's tasks after posting and projecting: what the gateway says, what KV holds, what is old. */
import type { Agenda, Task } from "./cron.ts";
import { type Proof, STUCK_MS } from "./learn.ts";
import { lookUp } from "./look-up.ts";
import { expireHeld, hasExpiredSql, purge } from "./purge.ts";
import { scrub } from "./scrub.ts";
import { idAt } from "./time-range.ts";
import { anyDueSql } from "./turns.ts";
import { type WalkPlace, walk } from "./walk.ts";

// The scrub compares a change with KV after this: longer than any late put or stale read.
const SCRUB_DELAY_MS = 10 * 60_000;

// SQL, of ?1 the time in ms: its first event id, as `idAt` makes it.
const idAtSql = (ms: string) =>
  `printf('%s-%s-7000-8000-000000000000', substr(printf('%012x', ${ms}), 1, 8), substr(printf('%012x', ${ms}), 9))`;

// A proof that the gateway finishes deliveries, while any is under way: when the newest was taken of those that were
// finished half an hour ago. Served by the unique index on event.id and the primary key of delivery.
const PROOF = `CASE WHEN EXISTS (SELECT 1 FROM delivery WHERE status = 'sending') THEN (SELECT max(accepted_at) FROM (
  SELECT status, accepted_at, finished_at FROM delivery
  WHERE event_seq <= (SELECT seq FROM event WHERE id < ${idAtSql(`(?1 - ${STUCK_MS})`)} ORDER BY id DESC LIMIT 1)
  ORDER BY event_seq DESC LIMIT 100
) WHERE status = 'delivered' AND finished_at <= ?1 - ${STUCK_MS}) END`;

// Anything pending or sending: one step of an index each.
const UNDER_WAY = `EXISTS (SELECT 1 FROM delivery WHERE status = 'sending')
  OR EXISTS (SELECT 1 FROM delivery WHERE status = 'pending')`;
// With nothing under way, the walk's place moves on from time to time.
const IDLE_MS = 600_000;

/** In the order in which they run. */
export const TASKS: Task[] = [
  {
    name: "scrub",
    due: () =>
      `EXISTS (SELECT 1 FROM event WHERE id > s.scrub_after AND id < ${idAtSql(`(?1 - ${SCRUB_DELAY_MS})`)})`,
    // A page, KV, the repair with the place.
    least: 3,
    share: 0.07,
    run: ({ env, outbox }, { now, row }, budget) => {
      const range = { after: String(row.scrub_after ?? ""), until: idAt(now - SCRUB_DELAY_MS) };
      return scrub({ env, resources: outbox.resources }, range, budget);
    },
  },
  {
    name: "walk",
    due: () => `${UNDER_WAY} OR s.walk_since IS NULL OR s.walk_since < ?1 - ${IDLE_MS}`,
    columns: `${UNDER_WAY} AS under_way, (SELECT occurred_at FROM event ORDER BY seq LIMIT 1) AS log_begins_at, ${PROOF} AS proof_made_at`,
    // A window's beginning: two statements; the page; those that are stuck, recording, telling.
    least: 6,
    share: 0.16,
    run: async (run, agenda, budget) => {
      const { now, row } = agenda;
      const at = {
        ...{ walk: placeOf(agenda), proof: proofOf(agenda), underWay: row.under_way === 1 },
        firstUnderWayAt: Number(row.log_begins_at ?? now),
      };
      const { place, ...report } = await walk(run, at, budget);
      return report.pages > 0 || report.problem ? { ...report, since: place.since } : null;
    },
  },
  {
    name: "lookUp",
    due: () => anyDueSql("look-up"),
    // The owners, the claim, two calls, recording, telling.
    least: 8,
    share: 0.1,
    run: async (run, agenda, budget) => {
      const at = { walkedTo: placeOf(agenda).since, proof: proofOf(agenda) };
      const report = await lookUp(run, at, budget);
      return report.claimed > 0 ? report : null;
    },
  },
  {
    name: "purge",
    due: ({ retentionMs }) => `s.purge_after > 0 OR coalesce((SELECT occurred_at FROM event
      WHERE seq > s.purge_after ORDER BY seq LIMIT 1) < ?1 - ${retentionMs}, 0)`,
    least: 1,
    share: 0.05,
    run: async ({ env, settings }, { now, row }, budget) => {
      const events = await purge(
        env.DB,
        now - settings.retentionMs,
        Number(row.purge_after ?? 0),
        budget,
      );
      return events > 0 ? { events } : null;
    },
  },
  {
    name: "held",
    due: ({ heldMs }) => hasExpiredSql(idAtSql(`(?1 - ${heldMs})`)),
    least: 1,
    share: 0.02,
    run: async ({ env, settings }, { now }) => {
      const dead = await expireHeld(env.DB, now - settings.heldMs, now);
      return dead > 0 ? { dead } : null;
    },
  },
];

function placeOf({ row }: Agenda): WalkPlace {
  const endpoints = row.walk_endpoints;
  return {
    since: numberOrNull(row.walk_since),
    until: numberOrNull(row.walk_until),
    cursor: typeof row.walk_cursor === "string" ? row.walk_cursor : null,
    endpoints: typeof endpoints === "string" ? (JSON.parse(endpoints) as string[]) : null,
    failures: Number(row.walk_failures ?? 0),
  };
}

function proofOf({ now, row }: Agenda): Proof {
  return { madeAt: Number(row.proof_made_at ?? 0), seenAt: now - STUCK_MS };
}

function numberOrNull(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
