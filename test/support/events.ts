/** Events for tests of the log: create them, leave them behind, wait for them, set their state. */
import { expect, vi } from "vitest";
import type { Bindings } from "../../src/config.ts";
import { idempotencyKey } from "../../src/event/message.ts";
import { atConvoy } from "./cut-worker.ts";
import { call, cron, deliveries, log } from "./worker.ts";

/** Creates a todo. @returns the id of its event */
export async function publish(env: Bindings, query = "", item = "x"): Promise<string> {
  const reply = await call(env, "POST", `/todo${query}`, { item });
  return reply.headers.get("X-Event-Id") ?? "";
}

/** The event as GET /event/:id returns it. */
export const eventOf = async (env: Bindings, id: string) =>
  (await call(env, "GET", `/event/${id}`)).body;
/** Sets the event's state; any but pending is finished. */
export const setState = (env: Bindings, id: string, state: string) =>
  env.DB.prepare(
    `UPDATE event SET state = ?2, due_at = iif(?2 = 'pending', 0, NULL), finished_at = iif(?2 = 'pending', NULL, 1),
       accepted_at = iif(?2 = 'confirmed', 1, NULL) WHERE id = ?1`,
  )
    .bind(id, state)
    .run();

/** The id of the n-th event left behind, from 1; its time is so late that no scrub reaches it. */
export const idOf = (n: number) => `ffffffff-ffff-7fff-8000-${String(n).padStart(12, "0")}`;

/** Columns of an event left behind that differ from those of a due `created` event. */
export type Left = {
  type?: string;
  owner?: string;
  todo_id?: number | null;
  todo?: string | null;
  endpoint_id?: string | null;
  stored?: 0 | 1 | null;
  state?: string;
  attempts?: number;
  own_failures?: number;
  failed_at?: number;
  accepted_at?: number | null;
  finished_at?: number | null;
  occurred_at?: number;
  due_at?: number | null;
};

/** Logs `count` events nobody works on, each of its own todo; `of` gives the columns of the n-th, from 1. */
export async function leaveBehind(
  env: Bindings,
  count: number,
  of: (n: number) => Left = () => ({}),
): Promise<void> {
  const rows = Array.from({ length: count }, (_, index) => {
    const n = index + 1;
    const todo = JSON.stringify({ id: n, item: "x", completed: false });
    const usual = { type: "created", owner: "default", todo_id: n, todo, stored: 1 };
    return {
      id: idOf(n),
      state: "pending",
      occurred_at: Date.now(),
      due_at: 1,
      ...usual,
      ...of(n),
    };
  });
  await env.DB.prepare(
    `INSERT INTO event (id, owner, type, endpoint_id, occurred_at, todo_id, todo, stored, state, attempts, own_failures, failed_at,
       accepted_at, finished_at, due_at)
     SELECT value ->> 'id', value ->> 'owner', value ->> 'type', value ->> 'endpoint_id',
       value ->> 'occurred_at', value ->> 'todo_id', value ->> 'todo', value ->> 'stored', value ->> 'state',
       coalesce(value ->> 'attempts', 0), coalesce(value ->> 'own_failures', 0), value ->> 'failed_at', value ->> 'accepted_at', value ->> 'finished_at', value ->> 'due_at'
     FROM json_each(?)`,
  )
    .bind(JSON.stringify(rows))
    .run();
}

/** The same settings, but the walk reads Convoy's list up to now. */
export const walkingNow = (env: Bindings): Bindings => ({ ...env, WALK_DELAY_S: "0" });

type Listed = { content: { idempotency_key: string }[] };

/** Waits until Convoy lists every accepted event, then lets the cron walk the list. */
export async function confirm(env: Bindings): Promise<void> {
  const rows = (await log(env)).filter(({ state }) => state === "accepted");
  await vi.waitFor(async () => {
    const { content } = await atConvoy<Listed>(env, "GET", "/events?perPage=1000");
    const listed = new Set(content.map((event) => event.idempotency_key));
    expect(rows.filter((row) => !listed.has(idempotencyKey(row)))).toEqual([]);
  });
  await cron(walkingNow(env));
}

/** Waits until exactly `count` of Convoy's deliveries have succeeded. @returns all deliveries */
export const delivered = (env: Bindings, count: number) =>
  vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all.filter(({ status }) => status === "Success")).toHaveLength(count);
    return all;
  });
