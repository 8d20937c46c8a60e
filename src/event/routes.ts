/** /event: the log as an API. HTTP in, HTTP out. */

import type { Delivery, LoggedEvent } from "../answers.ts";
import {
  type Bindings,
  CRON_TIME_MS,
  deliverySettings,
  LOOKUP_TIMEOUT_MS,
  PAGE_DEFAULT,
  SHOWN_KEYS_MAX,
} from "../config.ts";
import { convoyOf, shownReason } from "../convoy/client.ts";
import { listDeliveries } from "../convoy/deliveries.ts";
import { isEventUnknown } from "../convoy/events.ts";
import { toDelivery } from "../endpoint/schema.ts";
import { resubscribe } from "../endpoint/sync.ts";
import { problem } from "../errors.ts";
import { newApp } from "../http.ts";
import { budgetOf } from "../run.ts";
import { Rebuild } from "../schema.ts";
import { validBody, validPath, validQuery } from "../validate.ts";
import { idempotencyKey } from "./message.ts";
import { finish, replay, replayDead } from "./publish.ts";
import { BulkReplay, EventListQuery, EventPath } from "./schema.ts";
import { rebuildFromKv, rebuildFromLog } from "./scrub.ts";
import { backlog, type EventRow, findEvent, listEvents } from "./table.ts";

/** Routes under /event. */
export const event = newApp()
  .get("/", validQuery(EventListQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor, ...filter } = c.req.valid("query");
    const page = { ...filter, limit, before: cursor };
    const { rows, next } = await listEvents(c.env.DB, c.get("owner"), page);
    return c.json({ data: rows.map(toEvent), ...(next ? { cursor: String(next) } : {}) }, 200);
  })
  .get("/summary", async (c) => c.json(await backlog(c.env.DB, c.get("owner"), Date.now()), 200))
  .get("/:id", validPath(EventPath), async (c) => {
    const row = await findEvent(c.env.DB, c.get("owner"), c.req.valid("param").id);
    if (!row) throw problem(404, "Event not found");
    return c.json({ ...toEvent(row), ...(await deliveriesOf(c.env, row)) }, 200);
  })
  .post("/replay", validBody(BulkReplay), async (c) => {
    const owner = c.get("owner");
    const replayed = await replayDead(c.env.DB, owner, Date.now());
    if (replayed > 0) c.executionCtx.waitUntil(resubscribe(c.env, owner, null));
    return c.json({ data: `${replayed} events queued`, replayed }, 202);
  })
  .post("/:id/replay", validPath(EventPath), async (c) => {
    const { id } = c.req.valid("param");
    const row = await replay(c.env.DB, c.get("owner"), id, Date.now());
    if (!row) {
      if (!(await findEvent(c.env.DB, c.get("owner"), id))) throw problem(404, "Event not found");
      throw problem(409, "The event is still on its way: it will be delivered without a replay.");
    }
    const { owner, endpoint_id } = row;
    const posted = () => finish(c.env, { row, put: null });
    c.executionCtx.waitUntil(resubscribe(c.env, owner, endpoint_id).then(posted));
    c.header("X-Event-Id", id);
    const key = idempotencyKey(row);
    return c.json({ data: "Event queued", event_id: id, idempotency_key: key }, 202);
  });

/**
 * What Convoy says about the event, under each of its newest keys, or why it says nothing: the log
 * works without it.
 */
async function deliveriesOf(env: Bindings, row: EventRow) {
  const convoy = convoyOf(env);
  const deliveries: Delivery[] = [];
  const oldest = Math.max(0, row.replays - SHOWN_KEYS_MAX + 1);
  for (let replays = row.replays; replays >= oldest; replays--) {
    const key = idempotencyKey({ id: row.id, replays });
    const page = { key, perPage: 100, timeoutMs: LOOKUP_TIMEOUT_MS };
    const answer = await listDeliveries(convoy, page);
    if (answer.ok) deliveries.push(...answer.data.items.map(toDelivery));
    else if (!isEventUnknown(answer)) {
      return { deliveries: null, deliveries_error: shownReason(answer) };
    }
  }
  return { deliveries };
}

/** The row as the API returns it. `next_try_at`: when a pending event is tried, or an accepted one checked. */
function toEvent(row: EventRow): LoggedEvent {
  return {
    id: row.id,
    sequence: row.seq,
    type: row.type,
    endpoint_id: row.endpoint_id,
    todo_id: row.todo_id,
    todo: row.todo === null ? null : (JSON.parse(row.todo) as LoggedEvent["todo"]),
    state: row.state,
    attempts: row.attempts,
    replays: row.replays,
    error: row.error,
    occurred_at: iso(row.occurred_at),
    accepted_at: isoOrNull(row.accepted_at),
    finished_at: isoOrNull(row.finished_at),
    next_try_at: isoOrNull(row.due_at),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms);
}

/** POST /rebuild: makes a page of all todos the same in KV and in the log, or only compares them. */
export const rebuild = newApp().post("/", validBody(Rebuild), async (c) => {
  if (!c.get("operator")) {
    throw problem(403, "Only an operator may do this: send a token with the scope `operator`.", {
      headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' },
    });
  }
  const { from, dry_run: dryRun = false, cursor } = c.req.valid("json");
  const { subrequestBudget } = deliverySettings(c.env);
  const budget = budgetOf(subrequestBudget, Date.now() + CRON_TIME_MS);
  const page = { dryRun, cursor };
  const work = from === "log" ? rebuildFromLog : rebuildFromKv;
  const { checked, different, next } = await work(c.env, page, budget);
  return c.json({ data: different, checked, ...(next ? { cursor: next } : {}) }, 200);
});
