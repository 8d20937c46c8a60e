/** What happens in waitUntil, for which no caller waits; and replays. */
import {
  type Bindings,
  CHECK_ALONE_MS,
  deliverySettings,
  KV_WRITE_INTERVAL_MS,
  LEASE_MS,
  POST_RETRY_MS,
  PROJECT_ROUNDS,
  REPLAY_MAX,
  SETTLE_MAX,
  SETTLE_PATIENCE_MS,
  SETTLE_WAIT_MS,
} from "../config.ts";
import { convoyOf } from "../convoy/client.ts";
import { findEndpoint } from "../endpoint/table.ts";
import { logError, sleep, within } from "../run.ts";
import { all, first, StorageError, whileLost } from "../storage.ts";
import { type Recorded, type Result, record } from "./lease.ts";
import type { Source } from "./message.ts";
import { type Answer, outcomesOf, post } from "./post.ts";
import { putLatest } from "./project.ts";
import type { EventRow } from "./table.ts";

/** A row that this request has just written or reopened, and the version of its todo that it put into KV. */
export type HandOff = { row: EventRow; put: number | null };

/**
 * Posts the event, checks that what was put into KV is the todo's last change, and records both in one
 * statement. A hanging Convoy delays the check by only a second. What is left undone is due at once, for
 * the cron. Never rejects: a row that could not be recorded is due when its lease ends.
 */
export async function finish(env: Bindings, { row, put }: HandOff): Promise<void> {
  try {
    const settings = deliverySettings(env);
    const patienceMs = settings.audit?.patienceMs ?? null;
    const lease = row.due_at ?? 0;
    const ours = { seq: row.seq, lease, unstoredDueAt: lease, pendingDueAt: lease };
    const save = (result: Result) => settle(env.DB, result, patienceMs);

    const askedAt = Date.now();
    const posting = publish(env, row);
    let stored = row.stored !== 0;
    const early = put === null ? undefined : await within(CHECK_ALONE_MS, posting);
    if (!stored && !early) stored = await store({ ...ours, outcome: null, put });
    const answer = await posting;
    const now = Date.now();
    const posted = { row, answer, askedAt, othersGotThrough: false };
    const due = { now, unprovenWaitMs: 0 };
    const [outcome = null] = await outcomesOf(env.DB, [posted], settings, due);
    const given = !stored && !early;
    const settled = await save({
      ...ours,
      outcome,
      put: stored || given ? null : put,
      ...(given ? { unstoredDueAt: now } : {}),
    });
    if (!early || settled?.stored !== 0) return;
    // There is a later change: put that into KV, even if another request made it.
    const again = { ...ours, outcome: null, put: null, pendingDueAt: outcome?.due_at ?? now };
    if (!(await store(again))) await save({ ...again, unstoredDueAt: Date.now() });

    /**
     * Checks and puts again until KV has the last change.
     * @returns whether it has, or the row is no longer ours
     */
    async function store(result: Result): Promise<boolean> {
      let latest = result.put;
      for (let round = 0; round < PROJECT_ROUNDS; round++) {
        if (latest !== null) {
          const checked = await save({ ...result, put: latest });
          if (checked?.stored !== 0) return true;
        }
        if (round === PROJECT_ROUNDS - 1 || Date.now() >= lease) return false;
        await sleep(KV_WRITE_INTERVAL_MS);
        const todo = { seq: row.seq, owner: row.owner, todo_id: row.todo_id ?? 0 };
        latest = (await putLatest(env, [todo], lease)).get(row.seq) ?? null;
      }
      return false;
    }
  } catch (error) {
    logError({ event: row.id }, error);
  }
}

/** Posts the event of a read once, best effort, if the endpoint is the caller's. Never rejects. */
export async function publishRead(env: Bindings, source: Source): Promise<void> {
  try {
    if (!source.endpoint_id) return;
    if (!(await findEndpoint(env.DB, source.owner, source.endpoint_id))) return;
    await post(convoyOf(env), source);
  } catch (error) {
    logError({ event: source.id }, error);
  }
}

async function publish(env: Bindings, source: Source): Promise<Answer> {
  const convoy = convoyOf(env);
  for (const wait of [...POST_RETRY_MS, null]) {
    const answer = await post(convoy, source);
    if (answer.kind !== "failed" || answer.retryAfterMs !== null || wait === null) return answer;
    await sleep(wait);
  }
  throw new Error("unreachable");
}

type Waiting = {
  result: Result;
  resolve: (recorded: Recorded | null) => void;
  reject: (error: unknown) => void;
};

// This isolate's list for each database.
const lists = new WeakMap<D1Database, Waiting[]>();

/**
 * Records a result together with those of other requests: waits a moment; a request whose result is
 * still in the list then takes the whole list. If it dies, nothing is lost: the others record their own
 * results after a while, and their rows are leased.
 * @returns the row afterwards; null if it was no longer ours
 * @throws StorageError
 */
export async function settle(
  db: D1Database,
  result: Result,
  patienceMs: number | null,
): Promise<Recorded | null> {
  const list = lists.get(db) ?? [];
  lists.set(db, list);
  const { promise, resolve, reject } = Promise.withResolvers<Recorded | null>();
  // It may be rejected after this request has given up waiting for it.
  promise.catch(() => {});
  const mine = { result, resolve, reject };
  list.push(mine);
  await sleep(SETTLE_WAIT_MS);
  if (list.includes(mine)) await flush(db, list.splice(0), patienceMs);
  const taken = await within(SETTLE_PATIENCE_MS, promise);
  if (taken !== undefined) return taken;
  return (await recordSurely(db, [result], patienceMs))[0] ?? null;
}

async function flush(db: D1Database, taken: Waiting[], patienceMs: number | null): Promise<void> {
  for (let start = 0; start < taken.length; start += SETTLE_MAX) {
    const group = taken.slice(start, start + SETTLE_MAX);
    try {
      const rows = await recordSurely(
        db,
        group.map(({ result }) => result),
        patienceMs,
      );
      const bySeq = new Map(rows.map((row) => [row.seq, row]));
      for (const { result, resolve } of group) resolve(bySeq.get(result.seq) ?? null);
    } catch (error) {
      // One result that D1 refuses must not fail the others.
      const alone = error instanceof StorageError && error.reason === "refused" && group.length > 1;
      if (alone) for (const one of group) await flush(db, [one], patienceMs);
      else for (const { reject } of group) reject(error);
    }
  }
}

/** Retries if the connection is lost: rows already recorded are no longer ours, and are left alone. */
function recordSurely(db: D1Database, results: Result[], patienceMs: number | null) {
  return whileLost(() => record(db, results, { now: Date.now(), patienceMs }));
}

// Convoy's ledger has the key of what it accepted, or listed as a failure: it takes such an event again
// only under a new key. Otherwise the key is unused.
const REOPEN = `state = 'pending', attempts = 0, own_failures = 0, failed_at = NULL, missing = 0, lookups = 0, stranded = 0, error = NULL,
  finished_at = NULL, replays = replays + (accepted_at IS NOT NULL), accepted_at = NULL`;

/**
 * Reopens a finished event and claims it until its `due_at`.
 * @returns null if it is not the owner's, or still on its way
 * @throws StorageError
 */
export function replay(
  db: D1Database,
  owner: string,
  id: string,
  now: number,
): Promise<EventRow | null> {
  return first<EventRow>(
    db,
    `UPDATE event SET ${REOPEN}, due_at = ?3
     WHERE id = ?1 AND owner = ?2 AND due_at IS NULL RETURNING *`,
    ...[id, owner, now + LEASE_MS],
  );
}

/**
 * Reopens up to REPLAY_MAX of the owner's dead events, oldest first, due at once.
 * @returns how many
 * @throws StorageError
 */
export async function replayDead(db: D1Database, owner: string, now: number): Promise<number> {
  const rows = await all(
    db,
    // Served by event_open.
    `UPDATE event SET ${REOPEN}, due_at = ?2 WHERE seq IN (SELECT seq FROM event
     WHERE owner = ?1 AND state IN ('pending', 'dead') AND state = 'dead' AND due_at IS NULL
     ORDER BY seq LIMIT ?3) RETURNING seq`,
    ...[owner, now, REPLAY_MAX],
  );
  return rows.length;
}
