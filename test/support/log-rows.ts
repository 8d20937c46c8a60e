/** Rows of the log, as requests or earlier runs may have left them. */
import type { DeliveryRow, EventRow } from "../../src/outbox/rows.ts";

/** What a test says of a delivery and its event; the rest has a default. */
export type LeftDelivery = Partial<DeliveryRow> & { occurred_at?: number };

/** An endpoint of the log's view. */
export type LeftEndpoint = {
  id: string;
  owner: string;
  active?: boolean;
  rate?: { requests: number; perS: number };
};

/** Anything that takes D1's statements. */
type Db = Pick<D1Database, "prepare" | "batch">;

/** A batch has this many rows: D1 takes 2 MB as one value. */
const BATCH_ROWS = 500;

/** Inserts rows, many with one statement: one for each row costs more than most tests. */
async function insert(db: Db, rows: { table: string; row: object }[]): Promise<void> {
  for (let at = 0; at < rows.length; at += BATCH_ROWS) {
    const groups = Map.groupBy(rows.slice(at, at + BATCH_ROWS), ({ table, row }) =>
      JSON.stringify([table, Object.keys(row)]),
    );
    await db.batch(
      [...groups].map(([key, same]) => {
        const [table, names] = JSON.parse(key) as [string, string[]];
        const values = names.map((_, index) => `value ->> ${index}`);
        const sql = `INSERT INTO ${table} (${names}) SELECT ${values} FROM json_each(?)`;
        return db.prepare(sql).bind(JSON.stringify(same.map(({ row }) => Object.values(row))));
      }),
    );
  }
}

/** The id of the `seq`-th event of these tests. */
export function eventIdOf(seq: number): string {
  return `01930000-0000-7000-8000-${String(seq).padStart(12, "0")}`;
}

/** Leaves endpoints' records. */
export async function leaveEndpoints(db: Db, endpoints: LeftEndpoint[]): Promise<void> {
  const rows = endpoints.map(({ id, owner, active = true, rate }) => ({
    id,
    owner,
    wanted: active ? "active" : "paused",
    name: id,
    url: `https://${id}.example`,
    description: "",
    http_timeout_s: 10,
    rate_requests: rate?.requests ?? null,
    rate_per_s: rate?.perS ?? null,
    created_at: 1,
    updated_at: 1,
  }));
  await insert(
    db,
    rows.map((row) => ({ table: "endpoint", row })),
  );
}

/** Leaves events that change nothing, each with one delivery: by default pending and due. Their seqs count from `first`. */
export async function leaveDeliveries(db: Db, left: LeftDelivery[], first = 1): Promise<void> {
  await insert(
    db,
    left.flatMap(({ occurred_at = 1, ...delivery }, index) => {
      const seq = delivery.event_seq ?? first + index;
      const row = { owner: "a", type: "ping", status: "pending", ...delivery };
      const due = row.status === "pending" || row.status === "sending";
      const final = ["delivered", "failed", "dead"].includes(row.status);
      const times = {
        event_seq: seq,
        endpoint_id: `${row.owner}1`,
        due_at: due ? 1 : null,
        finished_at: final ? 1 : null,
        accepted_at: row.status === "sending" ? 1 : null,
      };
      const event = { seq, id: eventIdOf(seq), owner: row.owner, type: row.type, occurred_at };
      return [
        { table: "event", row: event },
        { table: "delivery", row: { ...times, ...row } },
      ];
    }),
  );
}

/** Leaves changes that KV may lack: by default due updates of one thing. */
export async function leaveChanges(
  db: Db,
  left: (Partial<EventRow> & { owner?: string })[],
  first = 1,
): Promise<void> {
  await insert(
    db,
    left.map((given, index) => {
      const seq = given.seq ?? first + index;
      const resource_id = given.resource_id ?? "1";
      const change = given.change ?? "update";
      const data =
        change === "delete"
          ? null
          : JSON.stringify({ id: Number(resource_id), name: `v${seq}`, size: 1 });
      const same = { seq, id: eventIdOf(seq), owner: "a", type: "thing.updated", occurred_at: 1 };
      const what = { resource: "thing", resource_id, change, data, projected: 0, due_at: 1 };
      return { table: "event", row: { ...same, ...what, ...given } };
    }),
  );
}

/** All deliveries, in order. */
export async function deliveryRows(db: Db): Promise<DeliveryRow[]> {
  const { results } = await db
    .prepare("SELECT * FROM delivery ORDER BY event_seq, endpoint_id")
    .all<DeliveryRow>();
  return results;
}

/** All events, in order. */
export async function eventRows(db: Db): Promise<EventRow[]> {
  const { results } = await db.prepare("SELECT * FROM event ORDER BY seq").all<EventRow>();
  return results;
}

/** How SQLite serves a statement, and what it reads. */
export async function planOf(db: Db, sql: string, ...values: unknown[]): Promise<string> {
  const { results } = await db
    .prepare(`EXPLAIN QUERY PLAN ${sql}`)
    .bind(...values)
    .all<{ detail: string }>();
  return results.map(({ detail }) => detail).join("\n");
}
