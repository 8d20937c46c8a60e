/** Owners in turn: what one has to be done delays another's change by two runs at most, and reads few rows. */
import { env as testEnv } from "cloudflare:workers";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { convoyOf } from "../../../src/convoy/client.ts";
import { CLAIM_NEXT, claimNext } from "../../../src/endpoint/claim.ts";
import { comparePage } from "../../../src/endpoint/drift.ts";
import { endpointTasks } from "../../../src/endpoint/tasks.ts";
import type { Bindings, Settings } from "../../../src/settings.ts";
import { atConvoy, passTime, records } from "../../support/cut-worker.ts";
import { planOf } from "../../support/log-rows.ts";
import { acceptance, around, refusalOf, withConvoy } from "../../support/operations.ts";
import { countRows } from "../../support/row-count.ts";
import { call, cron, newEndpoint, quietEnv } from "../../support/worker.ts";

const { DB } = testEnv as unknown as Bindings;
let env: Bindings;
beforeEach(() => {
  env = quietEnv();
});
afterEach(() => void vi.useRealTimers());

const INSERT = `INSERT INTO endpoint (id, owner, wanted, name, url, description, http_timeout_s, applied, due_at, created_at, updated_at)
  SELECT printf('%s%05d', ?1, value), ?1, ?2, 'n', 'https://n.example/', '', 10, ?3, ?4, 1, 1
  FROM (WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ?5) SELECT value FROM n)`;
const leave = (owner: string, wanted: string, count: number, due: number | null = 1) =>
  DB.prepare(INSERT)
    .bind(owner, wanted, wanted === "creating" ? null : "{}", due, count)
    .run();

/** A change of an endpoint of `default` that waits for the cron. @returns its id */
async function aChange(): Promise<string> {
  const id = await newEndpoint(env);
  const down = around(env, async ({ on }, run) => (on === "Convoy" ? refusalOf(503, "x") : run()));
  expect((await call(down, "PUT", `/endpoint/${id}`, { name: "N" })).status).toBe(202);
  passTime(60_000);
  return id;
}

test.each([
  ["49 endpoints that Convoy does not have", "active", 49],
  ["1,000 cut-off creations", "creating", 1_000],
  ["1,000 removals", "removed", 1_000],
])("%s of one owner delay another's change by two runs at most", async (_, wanted, count) => {
  const id = await aChange();
  await leave("big", wanted, count);
  for (let run = 0; run < 2; run++) {
    await cron(env);
    passTime(60_000);
  }
  expect(await atConvoy(env, "GET", `/endpoints/${id}`)).toMatchObject({ name: "N" });
});

test("an owner's own changes come before what was cut off", async () => {
  const id = await aChange();
  await leave("default", "creating", 1_000);
  for (let run = 0; run < 2; run++) {
    await cron(env);
    passTime(60_000);
  }
  expect(await atConvoy(env, "GET", `/endpoints/${id}`)).toMatchObject({ name: "N" });
});

test("a claim is nobody else's until its lease is over", async () => {
  await leave("a", "active", 1);
  expect(await claimNext(DB, "")).toMatchObject({ owner: "a" });
  expect(await claimNext(DB, "")).toBeNull();
  passTime(91_000);
  expect(await claimNext(DB, "")).toMatchObject({ owner: "a" });
});

test("owners are taken in turn, from the place of the last one, round and round", async () => {
  for (const owner of ["a", "b", "c"]) await leave(owner, "active", 2);
  const taken: string[] = [];
  let place = "b";
  for (let one = await claimNext(DB, place); one; one = await claimNext(DB, place)) {
    taken.push(one.owner);
    place = one.owner;
  }
  expect(taken.join("")).toBe("cabcab");
});

test("with 20,000 endpoints of 2,000 owners a claim and the question what is due read few rows", async () => {
  for (let owner = 0; owner < 2_000; owner += 100) {
    await DB.prepare(`${INSERT.replace("?1, ?2", "printf('o%04d', ?6 + value % 100), ?2")}`)
      .bind(`x${owner}-`, "active", "{}", null, 1_000, owner)
      .run();
  }
  await leave("removed", "removed", 5_000, null);
  await leave("zz", "active", 3);
  const { db, rowsRead } = countRows(DB);
  const now = Date.now();
  const due = endpointTasks.map((task) => `(${task.due({} as Settings)})`).join(", ");
  const [claimed] = await db.batch<{ owner: string }>([
    db.prepare(CLAIM_NEXT).bind(now, now + 90_000, ""),
    db.prepare(`SELECT ${due} FROM cron_state AS s`).bind(now),
  ]);
  expect(claimed?.results).toMatchObject([{ owner: "zz" }]);
  expect(rowsRead()).toBeLessThan(60);
});

test.each([
  ["of all owners", null],
  ["of one", "o0001"],
])("with 20,000 endpoints a page of Convoy's list, %s, reads few rows", async (_, owner) => {
  for (let of = 0; of < 2_000; of += 100) {
    await DB.prepare(`${INSERT.replace("?1, ?2", "printf('o%04d', ?6 + value % 100), ?2")}`)
      .bind(`x${of}-`, "active", "{}", null, 1_000, of)
      .run();
  }
  const { db, rowsRead } = countRows(DB);
  const listing = withConvoy(env, () =>
    acceptance({ content: [], pagination: { has_next_page: false }, uid: "local" }, 200),
  );
  const work = { db, convoy: convoyOf(listing) };
  await comparePage(work, owner, owner === null ? "x100-00010" : null);
  expect(rowsRead()).toBeLessThan(owner === null ? 6_000 : 100);
});

test("statements are served by their indexes", async () => {
  const known = "wanted IN ('active', 'paused')";
  const plans = await Promise.all([
    planOf(DB, `SELECT count(*) FROM endpoint WHERE owner = ?1 AND ${known}`, "a"),
    planOf(DB, "SELECT id FROM outbox_endpoint WHERE owner = ?1", "a"),
    planOf(DB, "SELECT 1 FROM endpoint WHERE due_at IS NOT NULL AND due_at <= ?1", 1),
    planOf(
      DB,
      "SELECT id FROM endpoint WHERE wanted = 'removed' AND due_at IS NULL AND updated_at < ?1",
      1,
    ),
  ]);
  expect(plans[0]).toContain("endpoint_owner");
  expect(plans[1]).toContain("endpoint_owner");
  expect(plans[2]).toContain("endpoint_due");
  expect(plans[3]).toContain("endpoint_removed");
  expect(await records(env)).toEqual([]);
});
