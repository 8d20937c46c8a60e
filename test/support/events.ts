/** Deliveries for tests of the whole Worker: create them, wait for them, let the walk see them. */
import { expect, vi } from "vitest";
import type { Bindings } from "../../src/settings.ts";
import { call, cron, deliveries, logged } from "./worker.ts";

/** Creates a todo. @returns the id of its event */
export async function publish(env: Bindings, query = "", item = "x"): Promise<string> {
  const reply = await call(env, "POST", `/todo${query}`, { item });
  return reply.headers.get("X-Event-Id") ?? "";
}

/** The same settings, but the walk reads Convoy's list up to now. */
export const walkingNow = (env: Bindings): Bindings => ({ ...env, WALK_DELAY_S: "0" });

/** Waits until exactly `count` of Convoy's deliveries have succeeded. @returns all deliveries */
export const delivered = (env: Bindings, count: number) =>
  vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all.filter(({ status }) => status === "Success")).toHaveLength(count);
    return all;
  });

/** Waits until Convoy has delivered all that it took, then lets the cron walk its list: all of that is delivered. */
export async function walked(env: Bindings): Promise<void> {
  await vi.waitFor(async () => {
    const keys = (await deliveries(env))
      .filter(({ status }) => status === "Success")
      .map((one) => one.idempotency_key.replace(/\.\d+$/, ""));
    const sending = (await logged(env)).filter(({ status }) => status === "sending");
    for (const one of sending) expect(keys).toContain(`${one.event_id}.${one.endpoint_id}`);
  });
  await cron(walkingNow(env));
}
