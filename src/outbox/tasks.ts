/** The log's tasks: posting and projecting, what the gateway says, what KV holds, what is old. */
import type { Agenda, Task } from "./cron.ts";
import { dispatch } from "./dispatch.ts";
import { type Proof, STUCK_MS } from "./learn.ts";
import { lookUp } from "./look-up.ts";
import { projectDue } from "./project.ts";
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
    name: "dispatch",
    // Not while the gateway has asked us to wait.
    due: () => `s.breaker_until <= ?1 AND (${anyDueSql("post")})`,
    // A claim, a post, recording. It is the first, and gets what the others do not need.
    least: 3,
    share: 0,
    run: (run, { row }, budget) => {
      const breaker = { state: row.breaker, until: row.breaker_until };
      return dispatch(run, { turn: row.post_turn, breaker }, budget);
    },
  },
  {
    name: "project",
    due: () => anyDueSql("project"),
    // A claim, a put, recording.
    least: 3,
    share: 0.15,
    run: (run, { row }, budget) => projectDue(run, budget, row.project_turn),
  },
  {
    name: "scrub",
    due: () =>
      `EXISTS (SELECT 1 FROM event WHERE id > s.scrub_after AND id < ${idAtSql(`(?1 - ${SCRUB_DELAY_MS})`)})`,
    // A page, KV, the repair with the place.
    least: 3,
    share: 0.07,
    run: (run, { now, row }, budget) =>
      scrub(run, { after: row.scrub_after, until: idAt(now - SCRUB_DELAY_MS) }, budget),
  },
  {
    name: "walk",
    due: () => `${UNDER_WAY} OR s.walk_since IS NULL OR s.walk_since < ?1 - ${IDLE_MS}`,
    columns: `${UNDER_WAY} AS under_way, (SELECT occurred_at FROM event ORDER BY seq LIMIT 1) AS log_begins_at, ${PROOF} AS proof_made_at`,
    // A window's beginning: two statements; the page; those that are stuck, recording, telling.
    least: 6,
    share: 0.16,
    run: async (run, { now, row }, budget) => {
      const walkPlace: WalkPlace = {
        since: row.walk_since,
        until: row.walk_until,
        cursor: row.walk_cursor,
        endpoints: row.walk_endpoints === null ? null : JSON.parse(row.walk_endpoints),
        failures: row.walk_failures,
      };
      const at = {
        ...{ walk: walkPlace, proof: proofOf({ now, row }), underWay: row.under_way === 1 },
        firstUnderWayAt: Number(row.log_begins_at ?? now),
      };
      const { place, ...report } = await walk(run, at, budget);
      return report.pages > 0 || report.problem ? { ...report, since: place.since } : null;
    },
  },
  {
    name: "lookUp",
    due: () => anyDueSql("look-up"),
    // The claim, two calls, recording, telling.
    least: 8,
    share: 0.1,
    run: (run, agenda, budget) => {
      const { look_up_turn: turn, walk_since: walkedTo } = agenda.row;
      return lookUp(run, { turn, walkedTo, proof: proofOf(agenda) }, budget);
    },
  },
  {
    name: "purge",
    due: ({ retentionMs }) => `s.purge_after > 0 OR coalesce((SELECT occurred_at FROM event
      WHERE seq > s.purge_after ORDER BY seq LIMIT 1) < ?1 - ${retentionMs}, 0)`,
    least: 1,
    share: 0.05,
    run: async ({ env, settings }, { now, row }, budget) => {
      const before = now - settings.retentionMs;
      return { events: await purge(env.DB, before, row.purge_after, budget) };
    },
  },
  {
    name: "held",
    due: ({ heldMs }) => hasExpiredSql(idAtSql(`(?1 - ${heldMs})`)),
    least: 1,
    share: 0.02,
    run: async ({ env, settings }, { now }) => {
      return { dead: await expireHeld(env.DB, now - settings.heldMs, now) };
    },
  },
];

function proofOf({ now, row }: Agenda): Proof {
  return { madeAt: Number(row.proof_made_at ?? 0), seenAt: now - STUCK_MS };
}
