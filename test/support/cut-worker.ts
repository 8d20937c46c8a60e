/** Cuts the Worker off in workerd and compares the endpoints left in D1 and Convoy. */
import { vi } from "vitest";
import type { Bindings } from "../../src/settings.ts";
import { around, type Operation } from "./operations.ts";
import { begin, type Reply } from "./worker.ts";

/** When a Worker dies: before an operation, or after it but before its answer. */
export const CUTS = ["before", "after"] as const;

/**
 * Calls the Worker and cuts it off at operation `at` (from 0); nothing of it runs after that.
 * @returns the answer, or null if cut off; and the operation it was cut off at, or null if it had fewer
 */
export async function cutCall(
  env: Bindings,
  at: number,
  when: (typeof CUTS)[number],
  ...request: [method: string, path: string, body?: unknown]
): Promise<{ reply: Reply | null; operation: Operation | null }> {
  let count = 0;
  let cutAt: Operation | null = null;
  let die = () => {};
  const death = new Promise<null>((resolve) => {
    die = () => resolve(null);
  });
  const never = () => new Promise<never>(() => {});
  const mortal = around(env, async (operation, run) => {
    if (cutAt) return never();
    if (count++ !== at) {
      const answer = await run();
      return cutAt ? never() : answer;
    }
    cutAt = operation;
    if (when === "after") await run();
    die();
    return never();
  });
  const reply = await Promise.race([begin(mortal, ...request), death]);
  return { reply, operation: cutAt };
}

/** Moves the Worker's clock, not Convoy's. Undo with vi.useRealTimers. */
export function passTime(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
}

/** An endpoint as D1 records it. */
export type Recorded = {
  id: string;
  owner: string;
  name: string;
  url: string;
  status: string;
  paused_at: number | null;
  subscription_id: string | null;
};

/** All endpoint records of D1. */
export async function records(env: Bindings): Promise<Recorded[]> {
  return (await env.DB.prepare("SELECT * FROM endpoint ORDER BY id").all<Recorded>()).results;
}

/** The parts of a listed endpoint or subscription that tests read. */
export type AtConvoy = {
  uid: string;
  owner_id?: string;
  name: string;
  status: string;
  endpoint_metadata?: { uid: string };
};

/** Calls the test's Convoy directly, as its portal would. @returns its `data` */
export async function atConvoy<T>(
  env: Bindings,
  method: string,
  path: string,
  body?: object,
): Promise<T> {
  const response = await fetch(`${env.CONVOY_BASE_URL}/v1/projects/local${path}`, {
    method,
    headers: { authorization: "Bearer local" },
    body: body ? JSON.stringify(body) : null,
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return (JSON.parse(text) as { data: T }).data;
}

/** All endpoints, or all subscriptions, that Convoy has. */
export async function listAtConvoy(env: Bindings, what: "endpoints" | "subscriptions") {
  return (await atConvoy<{ content: AtConvoy[] }>(env, "GET", `/${what}?perPage=100`)).content;
}

/** Where D1 and Convoy differ: each record should be an endpoint with the same status and one subscription. */
export async function differencesOf(env: Bindings): Promise<string[]> {
  const rows = await records(env);
  const there = await listAtConvoy(env, "endpoints");
  const subscriptions = await listAtConvoy(env, "subscriptions");
  return [
    ...rows.flatMap((row) => {
      const same = there.find(({ uid }) => uid === row.id);
      const of = subscriptions.filter((one) => one.endpoint_metadata?.uid === row.id);
      if (!same) return [`D1 has ${row.status} ${row.name}, Convoy not`];
      if (of.length !== 1) return [`${row.name} has ${of.length} subscriptions`];
      if (of[0]?.uid !== row.subscription_id) return [`${row.name}: subscription not recorded`];
      return same.status === row.status
        ? []
        : [`${row.name}: ${row.status}, at Convoy ${same.status}`];
    }),
    ...there
      .filter(({ uid }) => !rows.some(({ id }) => id === uid))
      .map((one) => `D1 lacks ${one.name}`),
  ];
}
