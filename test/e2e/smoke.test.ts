/**
 * `npm run smoke` against the newest version of Convoy, with SMOKE=all (as `npm run chaos` runs it) against every one: it
 * checks what this API needs from a Convoy.
 */
import { expect, test, vi } from "vitest";
import { VERSIONS } from "../../local/convoy/context.ts";
import { serveConvoy } from "../../local/convoy/server.ts";
import { startReceiver } from "../../scripts/smoke/receiver.ts";
import { smoke } from "../../scripts/smoke/run.ts";

// wrangler's command, which test/e2e/dev.test.ts runs, takes five seconds.
vi.mock(import("../../local/dev/worker.ts"), async (original) => ({
  ...(await original()),
  migrate: (await import("../support/migrated.ts")).migrateEmpty,
}));

test.concurrent.each(process.env.SMOKE === "all" ? VERSIONS : VERSIONS.slice(-1))(
  "it passes with Convoy %s, and leaves no endpoint or subscription behind",
  async (version) => {
    const { url, close } = await serveConvoy({ port: 0, version });
    const receiver = await startReceiver(0, false);
    const strangers = await startReceiver(0, false);
    const theirs = await strangersEndpoints(url, `http://127.0.0.1:${strangers.port}/hook`);
    const said: string[] = [];
    try {
      const passed = smoke({
        convoy: {
          CONVOY_BASE_URL: `${url}/api`,
          CONVOY_API_KEY: "local",
          CONVOY_PROJECT_ID: "local",
        },
        receiver,
        receiverUrl: `http://127.0.0.1:${receiver.port}/hook`,
        patienceMs: 30_000,
        walkDelayS: 0,
        say: (line) => void said.push(line),
      });
      await expect(passed, said.join("\n")).resolves.toBeUndefined();
      const events = receiver.arrivals.map(({ event }) => event);
      expect(events).toEqual([
        ...["created", "ping", "updated", "retrieved", "failure", "created", "deleted", "updated"],
        ...["updated", "created", "created", "deleted", "deleted"],
      ]);
      expect(receiver.arrivals.every(({ signed }) => signed)).toBe(true);
      const [first, again] = [receiver.arrivals[0], receiver.arrivals[9]];
      expect(again?.eventId).toBe(first?.eventId);
      expect(again?.key).toBe(`${first?.key}.1`);
      // What was there before is still there, and was sent nothing.
      expect(strangers.arrivals).toEqual([]);
      for (const what of ["endpoints", "subscriptions"]) {
        const { content } = await convoy<{ content: { uid: string }[] }>(url, what);
        expect(content.map(({ uid }) => uid).sort()).toEqual(theirs[what]?.sort());
      }
    } finally {
      await Promise.all([receiver.close(), strangers.close(), close()]);
    }
  },
);

/** A call of the local Convoy's own API. */
async function convoy<T>(url: string, what: string, body?: object): Promise<T> {
  const headers = { Authorization: "Bearer local", "Content-Type": "application/json" };
  const sent = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  const answer = await fetch(`${url}/api/v1/projects/local/${what}`, sent);
  return ((await answer.json()) as { data: T }).data;
}

/** Endpoints of the owner `default`, whom AUTH=open serves, and of somebody. @returns what was made */
async function strangersEndpoints(url: string, to: string): Promise<Record<string, string[]>> {
  const made: Record<string, string[]> = { endpoints: [], subscriptions: [] };
  for (const owner_id of ["default", "somebody"]) {
    const endpoint = { name: owner_id, url: to, owner_id, secret: "s" };
    const { uid } = await convoy<{ uid: string }>(url, "endpoints", endpoint);
    const subscription = { name: owner_id, endpoint_id: uid };
    const { uid: id } = await convoy<{ uid: string }>(url, "subscriptions", subscription);
    made.endpoints?.push(uid);
    made.subscriptions?.push(id);
  }
  return made;
}
