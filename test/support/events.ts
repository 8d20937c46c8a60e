/** Events for tests of the log: made, waited for, put into a state. */
import { expect, vi } from "vitest";
import type { Bindings } from "../../src/config.ts";
import { call, deliveries } from "./worker.ts";

/** Makes a todo. @returns the id of its event */
export async function publish(env: Bindings, query = "", item = "x"): Promise<string> {
  const reply = await call(env, "POST", `/todo${query}`, { item });
  return reply.headers.get("X-Event-Id") ?? "";
}

/** The event as GET /event/:id tells it. */
export const eventOf = async (env: Bindings, id: string) =>
  (await call(env, "GET", `/event/${id}`)).body;
/** Puts the event into a state, finished unless it is pending. */
export const setState = (env: Bindings, id: string, state: string) =>
  env.DB.prepare(
    `UPDATE event SET state = ?2, due_at = iif(?2 = 'pending', 0, NULL), finished_at = iif(?2 = 'pending', NULL, 1),
       accepted_at = iif(?2 = 'confirmed', 1, NULL) WHERE id = ?1`,
  )
    .bind(id, state)
    .run();

/** Waits until Convoy has sent `count` deliveries. */
export const delivered = (env: Bindings, count: number) =>
  vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all.filter(({ status }) => status === "Success")).toHaveLength(count);
    return all;
  });
