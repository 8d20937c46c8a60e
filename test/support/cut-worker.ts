/** Cuts the Worker off in workerd and compares the endpoints left in D1 and Convoy. */
import { vi } from "vitest";
import type { EndpointRow } from "../../src/endpoint/table.ts";
import type { Bindings } from "../../src/settings.ts";
import { around, type Operation } from "./operations.ts";
import { begin, type Reply } from "./worker.ts";

/** When a Worker dies: before an operation, or after it but before its answer. */
type Cut = "before" | "after";

/**
 * Calls the Worker and cuts it off at operation `at` (from 0); nothing of it runs after that.
 * @returns the answer, or null if cut off; and the operation it was cut off at, or null if it had fewer
 */
export async function cutCall(
  env: Bindings,
  at: number,
  when: Cut,
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

/** All endpoint records of D1, removed ones and unfinished creations, too. */
export async function records(env: Bindings): Promise<EndpointRow[]> {
  return (await env.DB.prepare("SELECT * FROM endpoint ORDER BY id").all<EndpointRow>()).results;
}

/** The parts of a listed endpoint or subscription that tests read. */
export type AtConvoy = {
  uid: string;
  owner_id?: string;
  name: string;
  url: string;
  status: string;
  endpoint_metadata?: { uid: string };
};

/** Calls the test's Convoy directly, as its dashboard would. @returns its `data` */
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
  return (await atConvoy<{ content: AtConvoy[] }>(env, "GET", `/${what}?perPage=1000`)).content;
}

/** What only Convoy itself, or a licence, can do to an endpoint; without `set`, it is back from a backup. */
export async function inConvoy(env: Bindings, id: string, set?: object): Promise<void> {
  const path = `/inbox/endpoints/${id}${set ? "" : "/restore"}`;
  const method = set ? "PUT" : "POST";
  const body = set ? JSON.stringify(set) : null;
  const response = await fetch(new URL(path, env.CONVOY_BASE_URL).href, { method, body });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  await response.body?.cancel();
}

/** Where what is wanted and Convoy differ: each record should be an endpoint there, with one subscription. */
export async function differencesOf(env: Bindings): Promise<string[]> {
  const rows = await records(env);
  const there = await listAtConvoy(env, "endpoints");
  const subscriptions = await listAtConvoy(env, "subscriptions");
  return [
    ...rows.flatMap((row) => {
      const same = there.find(({ uid }) => uid === row.id);
      if (row.wanted === "removed") return same ? [`Convoy still has ${row.name}`] : [];
      if (row.wanted === "creating") return [`${row.name} is still being created`];
      const of = subscriptions.filter((one) => one.endpoint_metadata?.uid === row.id);
      if (!same) return [`Convoy lacks ${row.name}`];
      if (row.due_at !== null) return [`${row.name} is due`];
      if (of.length !== 1) return [`${row.name} has ${of.length} subscriptions`];
      const isSame = same.name === row.name && same.url === row.url;
      return isSame ? [] : [`${row.name} ${row.url}, at Convoy ${same.name} ${same.url}`];
    }),
    ...there
      .filter(({ uid }) => !rows.some(({ id }) => id === uid))
      .map((one) => `D1 lacks ${one.name}`),
  ];
}
