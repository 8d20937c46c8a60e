/** What happens in waitUntil: nothing here is waited for by a caller. */
import {
  type Bindings,
  CHECK_ALONE_MS,
  deliverySettings,
  KV_WRITE_INTERVAL_MS,
  POST_RETRY_MS,
  PROJECT_ROUNDS,
} from "../config.ts";
import { convoyOf, convoyOrWhy } from "../convoy/client.ts";
import { findEndpoint } from "../endpoint/table.ts";
import { logError } from "../log.ts";
import { sleep, within } from "../time.ts";
import type { Result } from "./lease.ts";
import type { Source } from "./message.ts";
import { type Answer, outcomesOf, post } from "./post.ts";
import { putLatest } from "./project.ts";
import { settle } from "./settle.ts";
import type { EventRow } from "./table.ts";

/** A row that this request has just written, or opened again, and the version of its todo that it put into KV. */
export type HandOff = { row: EventRow; put: number | null };

/**
 * Posts the event, checks that what was put into KV is the todo's last change, and records both in one
 * statement. A hanging Convoy holds the check up for a second only. What is not done is due at once, for
 * the cron. Never rejects: a row that could not be recorded is due when its lease ends.
 */
export async function finish(env: Bindings, { row, put }: HandOff): Promise<void> {
  try {
    const settings = deliverySettings(env);
    const patienceMs = settings.audit?.patienceMs ?? null;
    const lease = row.due_at ?? 0;
    const ours = { seq: row.seq, lease, unstoredDueAt: lease, pendingDueAt: lease };
    const save = (result: Result) => settle(env.DB, result, patienceMs);

    const posting = publish(env, row);
    let stored = row.stored !== 0;
    const early = put === null ? undefined : await within(CHECK_ALONE_MS, posting);
    if (!stored && !early) stored = await store({ ...ours, outcome: null, put });
    const answer = await posting;
    const now = Date.now();
    const due = { now, unprovenWaitMs: 0 };
    const [outcome = null] = await outcomesOf(env.DB, [{ row, answer }], settings, due);
    const given = !stored && !early;
    const settled = await save({
      ...ours,
      outcome,
      put: stored || given ? null : put,
      ...(given ? { unstoredDueAt: now } : {}),
    });
    if (!early || settled?.stored !== 0) return;
    // A later change: it goes into KV, whoever made it.
    const again = { ...ours, outcome: null, put: null, pendingDueAt: outcome?.due_at ?? now };
    if (!(await store(again))) await save({ ...again, unstoredDueAt: Date.now() });

    /** Checks what was put, and puts again, until KV has the last change. @returns whether it has, or the row is not ours */
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

/** Posts an event of a read once, best effort, where the endpoint is the caller's. Never rejects. */
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
  const convoy = convoyOrWhy(env);
  if (typeof convoy === "string") return { kind: "failed", error: convoy, retryAfterMs: null };
  for (const wait of [...POST_RETRY_MS, null]) {
    const answer = await post(convoy, source);
    if (answer.kind !== "failed" || answer.retryAfterMs !== null || wait === null) return answer;
    await sleep(wait);
  }
  throw new Error("unreachable");
}
