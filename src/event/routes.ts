/** /event: the log as an API. HTTP in, HTTP out. */

import { type Bindings, LOOKUP_TIMEOUT_MS, PAGE_DEFAULT } from "../config.ts";
import { convoyOrWhy } from "../convoy/client.ts";
import { listDeliveries } from "../convoy/deliveries.ts";
import { shownReason } from "../convoy/reasons.ts";
import { toDelivery } from "../endpoint/schema.ts";
import { newApp, problem, requireJson, valid } from "../http.ts";
import type { Todo } from "../todo/schema.ts";
import { findEvent, type LogRow, listEvents } from "./log.ts";
import { idempotencyKey } from "./message.ts";
import { finish } from "./publish.ts";
import { replay, replayDead } from "./replay.ts";
import type { LoggedEvent } from "./schema.ts";
import { BulkReplay, EventListQuery, EventPath } from "./schema.ts";

/** Routes under /event. */
export const event = newApp()
  .get("/", valid("query", EventListQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor, ...filter } = c.req.valid("query");
    const page = { ...filter, limit: limit + 1, before: cursor };
    const rows = await listEvents(c.env.DB, c.get("owner"), page);
    const data = rows.slice(0, limit).map(toEvent);
    const last = rows.length > limit ? data.at(-1) : undefined;
    return c.json({ data, ...(last ? { cursor: String(last.sequence) } : {}) }, 200);
  })
  .get("/:id", valid("param", EventPath), async (c) => {
    const row = await findEvent(c.env.DB, c.get("owner"), c.req.valid("param").id);
    if (!row) throw problem(404, "Event not found");
    return c.json({ ...toEvent(row), ...(await deliveriesOf(c.env, row)) }, 200);
  })
  .post("/replay", requireJson, valid("json", BulkReplay), async (c) => {
    const replayed = await replayDead(c.env, c.get("owner"));
    return c.json({ data: `${replayed} events queued`, replayed }, 202);
  })
  .post("/:id/replay", valid("param", EventPath), async (c) => {
    const { id } = c.req.valid("param");
    const replayed = await replay(c.env, c.get("owner"), id);
    if (!replayed) {
      if (!(await findEvent(c.env.DB, c.get("owner"), id))) throw problem(404, "Event not found");
      throw problem(409, "The event is still on its way: it is delivered without a replay.");
    }
    c.executionCtx.waitUntil(finish(c.env, replayed.logged));
    c.header("X-Event-Id", id);
    return c.json({ data: "Event queued", event_id: id, idempotency_key: replayed.key }, 202);
  });

/** What Convoy says of it, or why it says nothing: the log's own word does not depend on Convoy. */
async function deliveriesOf(env: Bindings, row: LogRow) {
  const convoy = convoyOrWhy(env);
  if (typeof convoy === "string") return { deliveries: null, deliveries_error: convoy };
  const page = { key: idempotencyKey(row), perPage: 100, timeoutMs: LOOKUP_TIMEOUT_MS };
  const answer = await listDeliveries(convoy, page);
  if (answer.ok) return { deliveries: answer.data.items.map(toDelivery) };
  return { deliveries: null, deliveries_error: shownReason(answer) };
}

/** The row as given out. `next_try_at`: when a pending event is tried, or an accepted one checked. */
function toEvent(row: LogRow): LoggedEvent {
  return {
    id: row.id,
    sequence: row.seq,
    type: row.type,
    endpoint_id: row.endpoint_id,
    todo_id: row.todo_id,
    todo: row.todo === null ? null : (JSON.parse(row.todo) as Todo),
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
