/** Every owner its turn: what one owner has waiting or failing keeps no other waiting, at the default budget. */
import { afterEach, describe, expect, test } from "vitest";
import type { Post, Posted } from "../../src/outbox/gateway.ts";
import { type CronWorld, type CronWorldOptions, openCronWorld } from "../support/cron-world.ts";
import { ACCEPTED, FAILED } from "../support/scripted-gateway.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

let world: CronWorld;
afterEach(() => world.close());

const ownerOf = ({ endpointId }: Post) => endpointId.slice(0, -1);

/** A world after an outage of the gateway: it took nothing for a few minutes, and the breaker is open. */
async function afterOutage(
  script: (post: Post) => Posted,
  leave: (world: CronWorld) => void,
  settings: CronWorldOptions["settings"] = {},
): Promise<void> {
  let isDown = true;
  world = openCronWorld({
    script: (post) => (isDown ? FAILED : script(post)),
    settings,
  });
  leave(world);
  for (let minute = 0; minute < 3; minute++) await world.cron();
  isDown = false;
  world.posts.length = 0;
}

/** 1,000 owners, each with something that waits for hours. */
function crowd({ endpoints, leave }: CronWorld): void {
  const owners = Array.from({ length: 1_000 }, (_, n) => `aa${String(n).padStart(4, "0")}`);
  endpoints(owners.map((owner) => ({ id: `${owner}1`, owner })));
  for (const owner of owners) leave(1, { owner, due_at: Date.now() + 24 * HOUR_MS });
}

describe.each([
  ["ten minutes", "with the default hands", 10, {}],
  ["twelve minutes", "without hands", 12, { HANDS: "0" }],
])(
  "at most %s of a healthy gateway, %s, beside 1,000 owners that wait:",
  (_, __, most, settings) => {
    const both = (world: CronWorld) => {
      crowd(world);
      world.endpoints([
        { id: "a1", owner: "a" },
        { id: "b1", owner: "b" },
      ]);
    };

    test("200 of one owner while another replays dead events once a minute", async () => {
      let ids: string[] = [];
      const refused: Posted = { kind: "too large", error: "Convoy answered 413" };
      await afterOutage(
        (post) => (ownerOf(post) === "a" ? refused : ACCEPTED),
        (one) => {
          both(one);
          one.leave(5, { owner: "a" });
          ids = one.leave(200, { owner: "b" });
        },
        settings,
      );
      const minutes = await world.minutesUntil(() => {
        world.d1.sqlite.exec(`UPDATE delivery SET status = 'pending', due_at = ${Date.now()},
        finished_at = NULL, key_version = key_version + 1 WHERE status = 'dead'`);
        return world.accepted(ids);
      }, 60);
      console.info(`a replaying owner: ${minutes} minutes`);
      expect(minutes).toBeLessThanOrEqual(most);
    });

    test("200 of one owner while a firewall refuses two events a minute of another", async () => {
      let ids: string[] = [];
      await afterOutage(
        (post) => (ownerOf(post) === "a" ? { ...FAILED, error: "Convoy answered 403" } : ACCEPTED),
        (one) => {
          both(one);
          ids = one.leave(200, { owner: "b" });
        },
        settings,
      );
      const minutes = await world.minutesUntil(() => {
        world.leave(2, { owner: "a" });
        return world.accepted(ids);
      }, 60);
      console.info(`a firewall's 403: ${minutes} minutes`);
      expect(minutes).toBeLessThanOrEqual(most);
    });

    test("200 of one owner, made all the time, while each post of another is answered with Retry-After 3,600", async () => {
      const ids: string[] = [];
      const busy: Posted = { ...FAILED, throttled: true, retryAfterMs: HOUR_MS } as Posted;
      await afterOutage(
        (post) => (ownerOf(post) === "a" ? busy : ACCEPTED),
        (one) => {
          both(one);
          one.leave(6, { owner: "a" });
          ids.push(...one.leave(200, { owner: "b" }));
        },
        settings,
      );
      const first = await world.minutesUntil(() => world.accepted(ids), 60);
      // Then for two hours: something of the other every 20 minutes, of this one every minute.
      let worst = first;
      for (let minute = 0; minute < 120; minute++) {
        if (minute % 20 === 0) world.leave(6, { owner: "a" });
        const one = world.leave(1, { owner: "b" });
        worst = Math.max(worst, await world.minutesUntil(() => world.accepted(one), 60));
      }
      console.info(`Retry-After 3,600: ${worst} minutes`);
      expect(worst).toBeLessThanOrEqual(most);
    }, 120_000);

    test("ten of one owner behind 9,000 of another", async () => {
      let ids: string[] = [];
      await afterOutage(
        () => ACCEPTED,
        (one) => {
          both(one);
          one.leave(9_000, { owner: "a" });
          ids = one.leave(10, { owner: "b" });
        },
        settings,
      );
      const minutes = await world.minutesUntil(() => world.accepted(ids), 60);
      console.info(`behind 9,000: ${minutes} minutes`);
      expect(minutes).toBeLessThanOrEqual(most);
    });
  },
);

describe("10,000 deliveries that an outage left are drained", () => {
  const leaveMany = (one: CronWorld) => {
    const owners = ["a", "b", "c", "d"];
    one.endpoints(owners.map((owner) => ({ id: `${owner}1`, owner })));
    for (const owner of owners) one.leave(2_500, { owner });
  };
  const pending = () => world.rows("SELECT 1 FROM delivery WHERE status = 'pending'").length;

  test("within 45 minutes at the default budget and hands, each posted once, no invocation beyond 50", async () => {
    await afterOutage(() => ACCEPTED, leaveMany);
    const minutes = await world.minutesUntil(() => pending() === 0, 60);
    console.info(`10,000 at the default budget: ${minutes} minutes`);
    expect(minutes).toBeLessThanOrEqual(45);
    expect(world.posts).toHaveLength(10_000);
    expect(world.most()).toBeLessThanOrEqual(50);
  }, 180_000);

  test("with 9,000 subrequests and no hands", async () => {
    await afterOutage(() => ACCEPTED, leaveMany, { SUBREQUEST_BUDGET: "9000", HANDS: "0" });
    const minutes = await world.minutesUntil(() => pending() === 0, 60);
    console.info(`10,000 with 9,000 subrequests: ${minutes} minutes`);
    expect(minutes).toBeLessThanOrEqual(45);
    expect(world.posts).toHaveLength(10_000);
    // What a run did besides posting.
    const posted = world.reports.map(({ dispatch }) => (dispatch as { posted: number }).posted);
    expect(Math.max(...posted)).toBeGreaterThan(1_000);
  }, 180_000);
});

test("an outage of an hour writes little, and no wait outlives it", async () => {
  await afterOutage(
    () => ACCEPTED,
    (one) => {
      one.endpoints([{ id: "a1", owner: "a" }]);
      one.leave(1_000, { owner: "a" });
    },
  );
  world.close();
  world = openCronWorld({ script: () => FAILED, settings: { HANDS: "0" } });
  world.endpoints([{ id: "a1", owner: "a" }]);
  const ids = world.leave(50, { owner: "a" });
  const changes = () => world.rows<{ n: number }>("SELECT total_changes() AS n")[0]?.n ?? 0;
  const before = changes();
  for (let minute = 0; minute < 60; minute++) await world.cron();
  // A run: ten rows claimed, and recorded or handed back; the turn, the breaker, the report.
  expect(changes() - before).toBeLessThanOrEqual(60 * 25 + 200);
  expect(world.posts.length).toBeLessThanOrEqual(60 * 6);
  const due = world.rows<{ due_at: number }>("SELECT due_at FROM delivery");
  expect(ids).toHaveLength(due.length);
  expect(due.every(({ due_at }) => due_at <= Date.now() + MINUTE_MS)).toBe(true);
});
