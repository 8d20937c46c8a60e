// The migration to deliveries, with rows in flight: what becomes of every old status, named or fanned out.
import fs from "node:fs";
import path from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const folder = path.resolve(import.meta.dirname, "../../migrations");
const files = fs.readdirSync(folder).sort();
const T0 = 1_700_000_000_000;

let db: DatabaseSync;
beforeEach(() => {
  db = new DatabaseSync(":memory:");
  apply("0001", "0002", "0003");
});
afterEach(() => db.close());

function apply(...numbers: string[]): void {
  for (const number of numbers) {
    const file = files.find((name) => name.startsWith(number));
    db.exec(fs.readFileSync(path.join(folder, file ?? ""), "utf8"));
  }
}

const migrate = () => apply("0004", "0005");

type Row = Record<string, SQLInputValue>;

function insert(table: string, row: Row): void {
  const names = Object.keys(row);
  db.prepare(`INSERT INTO ${table} (${names}) VALUES (${names.map(() => "?")})`).run(
    ...Object.values(row),
  );
}

function rows<T = Row>(sql: string): T[] {
  return db.prepare(sql).all() as T[];
}

/** An old endpoint of the owner o. */
function endpoint(id: string, row: Row = {}): void {
  const texts = { name: id, url: `https://${id}.test/`, description: "d", http_timeout_s: 10 };
  insert("endpoint", {
    ...{ id, owner: "o", status: "active", subscription_id: "s", created_at: 1, updated_at: 2 },
    ...texts,
    ...row,
  });
}

let made = 0;
beforeEach(() => {
  made = 0;
});

/** An old event of the owner o, `created` unless it says otherwise. @returns its seq */
function event(state: string, row: Row = {}): number {
  made++;
  const isOpen = state === "pending" || state === "accepted";
  insert("event", {
    ...{ seq: made, id: `id-${made}`, owner: "o", type: "created", occurred_at: T0 + made },
    ...{ todo_id: made, todo: `{"id":${made}}`, stored: 1, state },
    due_at: isOpen ? T0 + 5 : null,
    finished_at: isOpen ? null : T0 + 7,
    accepted_at: state === "accepted" || state === "confirmed" ? T0 + 3 : null,
    ...row,
  });
  return made;
}

/** The deliveries of an event, or of all, as `endpoint status`. */
function deliveriesOf(seq?: number): string[] {
  const where = seq === undefined ? "" : `WHERE event_seq = ${seq}`;
  return rows<{ is: string }>(
    `SELECT endpoint_id || ' ' || status AS "is" FROM delivery ${where} ORDER BY event_seq, endpoint_id`,
  ).map((row) => row.is);
}

describe("an event that Convoy may lack", () => {
  test.each(["pending", "accepted"])(
    "%s, fanned out: pending for each endpoint that its owner has",
    (state) => {
      endpoint("a");
      endpoint("b");
      endpoint("other", { owner: "x" });
      endpoint("made", { status: "creating" });
      const seq = event(state);
      migrate();
      expect(deliveriesOf(seq)).toEqual(["a pending", "b pending"]);
    },
  );

  test.each(["pending", "accepted"])("%s, for one endpoint: pending for that one", (state) => {
    endpoint("a");
    endpoint("b");
    const seq = event(state, { endpoint_id: "b" });
    migrate();
    expect(deliveriesOf(seq)).toEqual(["b pending"]);
  });

  test("is due by its own time, under its new key, with nothing counted against it", () => {
    endpoint("a");
    event("pending", {
      attempts: 7,
      own_failures: 7,
      replays: 2,
      failed_at: T0,
      error: "Convoy answered 500",
    });
    migrate();
    expect(rows("SELECT * FROM delivery")).toEqual([
      {
        ...{ event_seq: 1, endpoint_id: "a", owner: "o", type: "created", status: "pending" },
        ...{ key_version: 0, since_version: 0, resends: 0, looks: 0, stuck: 0, discards: 0 },
        ...{ failures: 0, own_failures: 0, failed_at: null, attempts: 0, last_http_status: null },
        ...{ accepted_at: null, finished_at: null, due_at: T0 + 1, error: "Convoy answered 500" },
      },
    ]);
  });

  test.each(["paused", "pausing", "activating", "inactive", "missing"])(
    "is held if its endpoint is %s",
    (status) => {
      endpoint("a", { status, paused_at: T0 });
      endpoint("b");
      const [fanned, named] = [event("pending"), event("accepted", { endpoint_id: "a" })];
      migrate();
      expect(deliveriesOf(fanned)).toEqual(["a held", "b pending"]);
      expect(deliveriesOf(named)).toEqual(["a held"]);
    },
  );

  test("is dead, with words, if the endpoint that it was for has no record", () => {
    const pending = event("pending", { endpoint_id: "gone" });
    const accepted = event("accepted", { endpoint_id: "gone", error: "endpoint not found" });
    migrate();
    expect(deliveriesOf()).toEqual(["gone dead", "gone dead"]);
    const told = rows("SELECT event_seq, error, finished_at FROM delivery ORDER BY event_seq");
    expect(told).toEqual([
      { event_seq: pending, error: "The endpoint was removed.", finished_at: T0 + 1 },
      { event_seq: accepted, error: "endpoint not found", finished_at: T0 + 2 },
    ]);
  });

  test("is dead, too, if that endpoint has another owner by now: nothing is sent to a stranger", () => {
    endpoint("moved", { owner: "x" });
    const seq = event("pending", { endpoint_id: "moved" });
    migrate();
    expect(deliveriesOf(seq)).toEqual(["moved dead"]);
  });

  test("has no delivery if its owner has no endpoint", () => {
    event("pending");
    migrate();
    expect(deliveriesOf()).toEqual([]);
    expect(rows("SELECT id FROM event")).toEqual([{ id: "id-1" }]);
  });
});

describe("a dead event", () => {
  test("fanned out or for one endpoint: dead deliveries, which say why and since when", () => {
    endpoint("a");
    endpoint("b");
    event("dead", { error: "Convoy answered 413" });
    event("dead", { endpoint_id: "b", error: "no subscription" });
    migrate();
    expect(
      rows("SELECT event_seq, endpoint_id, status, error, finished_at, due_at FROM delivery"),
    ).toEqual([
      {
        event_seq: 1,
        endpoint_id: "a",
        status: "dead",
        error: "Convoy answered 413",
        finished_at: T0 + 7,
        due_at: null,
      },
      {
        event_seq: 1,
        endpoint_id: "b",
        status: "dead",
        error: "Convoy answered 413",
        finished_at: T0 + 7,
        due_at: null,
      },
      {
        event_seq: 2,
        endpoint_id: "b",
        status: "dead",
        error: "no subscription",
        finished_at: T0 + 7,
        due_at: null,
      },
    ]);
  });

  test("stays dead if its endpoint is paused: a resend holds it", () => {
    endpoint("a", { status: "paused", paused_at: T0 });
    event("dead");
    migrate();
    expect(deliveriesOf()).toEqual(["a dead"]);
  });

  test("of which KV lacks the todo is dead, and still to be projected", () => {
    endpoint("a");
    event("dead", { stored: 0, due_at: T0 + 9, finished_at: null });
    migrate();
    expect(deliveriesOf()).toEqual(["a dead"]);
    expect(rows("SELECT projected, due_at FROM event")).toEqual([{ projected: 0, due_at: T0 + 9 }]);
  });
});

describe("a confirmed event", () => {
  test("has no delivery: nothing is to be done", () => {
    endpoint("a");
    event("confirmed");
    event("confirmed", { endpoint_id: "a" });
    migrate();
    expect(deliveriesOf()).toEqual([]);
  });

  test("from before a pause has none either", () => {
    endpoint("a", { status: "paused", paused_at: T0 + 100 });
    event("confirmed");
    migrate();
    expect(deliveriesOf()).toEqual([]);
  });

  test.each(["paused", "pausing", "activating", "inactive"])(
    "since an endpoint is %s is held for it, and for it alone",
    (status) => {
      endpoint("a", { status, paused_at: T0 + 2 });
      endpoint("b");
      endpoint("other", { owner: "x", status: "paused", paused_at: 0 });
      event("confirmed");
      event("confirmed");
      event("confirmed", { endpoint_id: "a" });
      event("confirmed", { endpoint_id: "b" });
      migrate();
      expect(deliveriesOf()).toEqual(["a held", "a held"]);
      expect(rows("SELECT event_seq FROM delivery ORDER BY event_seq")).toEqual([
        { event_seq: 2 },
        { event_seq: 3 },
      ]);
    },
  );

  test("since Convoy disabled an endpoint, though nobody noted when: since its record last changed", () => {
    endpoint("a", { status: "inactive", paused_at: null, updated_at: T0 + 2 });
    event("confirmed");
    event("confirmed");
    migrate();
    expect(rows("SELECT event_seq, status FROM delivery")).toEqual([
      { event_seq: 2, status: "held" },
    ]);
  });

  test("that is to be brought back to an endpoint is held once, since the oldest of its recoveries", () => {
    endpoint("a");
    const recovery = { project: "p", endpoint_id: "a", action: "retry", due_at: T0 };
    insert("recovery", { ...recovery, status: "Discarded", since: T0 + 2 });
    insert("recovery", { ...recovery, status: "Scheduled", since: T0 + 3 });
    for (let n = 0; n < 3; n++) event("confirmed");
    migrate();
    // Held for an active endpoint: the dispatcher takes them by itself, in order of sequence.
    expect(rows("SELECT event_seq, status FROM delivery ORDER BY event_seq")).toEqual([
      { event_seq: 2, status: "held" },
      { event_seq: 3, status: "held" },
    ]);
  });
});

test("every type becomes a change or none, of a todo; ids are text", () => {
  const plain = { todo: null, stored: null };
  event("confirmed");
  event("confirmed", { type: "updated", todo_id: 9_007_199_254_740_991 });
  event("confirmed", { type: "deleted", todo: null });
  event("confirmed", { type: "failed", ...plain });
  event("confirmed", { type: "ping", todo_id: null, ...plain });
  migrate();
  const event_ = rows(
    "SELECT type, change, resource, resource_id, data, projected, due_at, test FROM event",
  );
  const done = { projected: 1, due_at: null, test: 0, resource: "todo" };
  const none = { ...done, projected: null, change: null, data: null };
  expect(event_).toEqual([
    { ...done, type: "created", change: "create", resource_id: "1", data: '{"id":1}' },
    {
      ...done,
      type: "updated",
      change: "update",
      resource_id: "9007199254740991",
      data: '{"id":2}',
    },
    { ...done, type: "deleted", change: "delete", resource_id: "3", data: null },
    { ...none, type: "failed", resource_id: "4" },
    { ...none, type: "ping", resource: null, resource_id: null },
  ]);
});

test("what KV lacks keeps its lease; what it has, posted or not, is due for nothing", () => {
  event("pending", { stored: 0, due_at: T0 + 11 });
  event("confirmed", { stored: 0, due_at: T0 + 12, finished_at: null });
  event("pending", { stored: 1 });
  migrate();
  expect(rows("SELECT projected, due_at FROM event ORDER BY seq")).toEqual([
    { projected: 0, due_at: T0 + 11 },
    { projected: 0, due_at: T0 + 12 },
    { projected: 1, due_at: null },
  ]);
});

test.each<[string, () => void]>([
  ["with rows", () => {}],
  ["though its last rows were purged", () => db.exec("DELETE FROM event WHERE seq > 1")],
  ["though all rows were purged", () => db.exec("DELETE FROM event")],
])("the sequence goes on where it was, %s", (_, purge) => {
  for (let n = 0; n < 3; n++) event("confirmed");
  purge();
  const before = rows("SELECT seq, id, owner, occurred_at FROM event");
  migrate();
  expect(rows("SELECT seq, id, owner, occurred_at FROM event")).toEqual(before);
  insert("event", { id: "next", owner: "o", type: "ping", occurred_at: T0 });
  expect(rows("SELECT seq FROM event WHERE id = 'next'")).toEqual([{ seq: 4 }]);
});

test("the scrub and the purge go on where they were; the walk begins anew", () => {
  db.exec(`UPDATE cron_state SET scrub_after = 'id-7', purge_after = 5, walk_since = 3, walk_until = 4,
    walk_cursor = 'c', closed_until = 9`);
  migrate();
  expect(
    rows(
      "SELECT scrub_after, purge_after, walk_since, walk_until, walk_cursor, breaker FROM cron_state",
    ),
  ).toEqual([
    {
      scrub_after: "id-7",
      purge_after: 5,
      walk_since: null,
      walk_until: null,
      walk_cursor: null,
      breaker: "closed",
    },
  ]);
});

describe("an endpoint", () => {
  test.each([
    ["active", "active", "active"],
    ["paused", "paused", "paused"],
    ["pausing", "paused", "active"],
    ["activating", "active", "paused"],
    ["inactive", "active", "inactive"],
    ["missing", "active", "missing"],
  ])("that was %s is wanted %s, and was last seen %s", (status, wanted, there) => {
    endpoint("a", { status, paused_at: T0 });
    migrate();
    const [row] = rows("SELECT * FROM endpoint");
    // What was being activated is lifted at Convoy, which still has it paused.
    const lift = Number(status === "activating");
    expect(row).toMatchObject({ id: "a", owner: "o", name: "a", wanted, there, lift });
    const texts = { name: "a", url: "https://a.test/", description: "d", http_timeout_s: 10 };
    const applied = { ...texts, rate_requests: null, rate_per_s: null };
    expect(JSON.parse(String(row?.applied))).toEqual(applied);
    // What was under way is ended; the others are compared with Convoy's list, as always.
    expect(row?.due_at).toBe(["pausing", "activating"].includes(status) ? 2 : null);
    const [seen] = rows("SELECT * FROM outbox_endpoint");
    expect(seen).toMatchObject({
      id: "a",
      active: Number(wanted === "active" && there === "active"),
    });
  });

  test("whose creation was cut off is no caller's yet, and is looked for when its lease is over", () => {
    endpoint("ours", { status: "creating", due_at: T0 + 4, search_cursor: "c" });
    migrate();
    expect(rows("SELECT wanted, applied, due_at FROM endpoint")).toEqual([
      { wanted: "creating", applied: null, due_at: T0 + 4 },
    ]);
    expect(rows("SELECT * FROM outbox_endpoint")).toEqual([]);
  });
});

/** MIGRATED=100000 is the size of the figures in CHANGELOG.md; minutes are not spent on it each time. */
const MANY = Number(process.env.MIGRATED ?? 5_000);

test(`${MANY} rows: as many events as before, a delivery for each that is open`, {
  timeout: 600_000,
}, () => {
  endpoint("a");
  endpoint("b", { status: "paused", paused_at: T0 });
  db.exec(`INSERT INTO event (seq, id, owner, type, occurred_at, todo_id, todo, stored, state, due_at, finished_at, accepted_at)
    SELECT value, printf('%08x-0000-7000-8000-000000000000', value), 'o', 'updated', ${T0 - 1} + (value % 2), value % 1000,
      '{"id":1,"item":"a todo of the usual length","completed":false}', 1,
      iif(value % 10 = 0, 'pending', 'confirmed'), iif(value % 10 = 0, 1, NULL), iif(value % 10 = 0, NULL, 1), iif(value % 10 = 0, NULL, 1)
    FROM (WITH RECURSIVE n (value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < ${MANY}) SELECT value FROM n)`);
  const begun = performance.now();
  migrate();
  const took = Math.round(performance.now() - begun);
  console.info(`migration: ${MANY} rows in ${took} ms`);
  expect(rows("SELECT count(*) AS n FROM event")).toEqual([{ n: MANY }]);
  expect(
    rows("SELECT status, endpoint_id, count(*) AS n FROM delivery GROUP BY 1, 2 ORDER BY 1"),
  ).toEqual([
    // What the paused one missed since then, and what is still to be posted.
    { status: "held", endpoint_id: "b", n: MANY / 2 + MANY / 10 },
    { status: "pending", endpoint_id: "a", n: MANY / 10 },
  ]);
  expect(rows("PRAGMA integrity_check")).toEqual([{ integrity_check: "ok" }]);
});
