/** What must hold once everything has had its time: the promises G1, G2, G4 and G6 of docs/design.md. */
import type { Seen, Simulation } from "./simulation.ts";

type Row = {
  seq: number;
  id: string;
  type: string;
  owner: string;
  todo_id: number | null;
  todo: string | null;
  stored: number | null;
  state: string;
};

/** A change that was answered 2xx: its event's id, and what it set. */
export type Acknowledged = { id: string; type: string; patch?: object };

/** Keeps rows that the purge removes, so that the whole history can be looked at in the end. */
export function keepPurged(world: Simulation): void {
  world.exec(
    `CREATE TABLE gone AS SELECT * FROM event WHERE 0;
     CREATE TRIGGER keep AFTER DELETE ON event BEGIN
       INSERT INTO gone SELECT old.seq, old.id, old.owner, old.type, old.endpoint_id, old.occurred_at,
         old.todo_id, old.todo, old.stored, old.state, old.attempts, old.replays, old.error,
         old.accepted_at, old.finished_at, old.due_at, old.lookups, old.stranded, old.missing;
     END`,
  );
}

/** All rows that were ever in the log. */
export function history(world: Simulation): Row[] {
  return world.rows<Row>("SELECT * FROM gone UNION ALL SELECT * FROM event ORDER BY seq");
}

/**
 * Everything that is wrong, in words; empty where the promises hold. `read` reads KV fresh.
 * `mayRepeat`: events that were replayed on purpose. `mayBeDead`: some were given up on purpose.
 */
export async function broken(
  world: Simulation,
  acknowledged: Acknowledged[],
  { mayRepeat = new Set<string>(), mayBeDead = false } = {},
): Promise<string[]> {
  const rows = history(world);
  const wrong: string[] = [];
  const say = (word: string) => wrong.push(word);

  // G1: every acknowledged change has exactly one event, of its type.
  const byId = Map.groupBy(rows, (row) => row.id);
  for (const { id, type } of acknowledged) {
    const found = byId.get(id) ?? [];
    if (found.length !== 1) say(`acknowledged ${type} ${id} has ${found.length} events`);
    else if (found[0]?.type !== type)
      say(`acknowledged ${type} ${id} is logged as ${found[0]?.type}`);
  }
  // ...and it reaches Convoy, once (G4); and nothing else does (G2).
  const seen = await world.accepted();
  const counted = seen.filter((event) => !event.is_duplicate && !event.swallowed);
  const idOf = (event: Seen) => event.idempotency_key.split(":")[0] ?? "";
  const accepted = Map.groupBy(counted, idOf);
  for (const row of rows) {
    const times = accepted.get(row.id)?.length ?? 0;
    if (row.state === "dead" && mayBeDead) continue;
    if (times === 0) say(`${row.type} ${row.id} (${row.state}) never reached Convoy`);
    if (times > 1 && !mayRepeat.has(row.id))
      say(`${row.type} ${row.id} reached Convoy ${times} times`);
  }
  for (const id of accepted.keys()) if (!byId.has(id)) say(`Convoy has ${id}, which no log has`);
  for (const row of rows) {
    if (row.state === "pending" || (row.state === "dead" && !mayBeDead))
      say(`${row.type} ${row.id} is ${row.state}`);
    if (row.stored === 0) say(`${row.type} ${row.id} is not stored`);
  }

  const changes = rows.filter((row) => row.stored !== null);
  const patches = new Map(acknowledged.map(({ id, patch }) => [id, patch]));
  const byTodo = Map.groupBy(changes, (row) => `${row.owner} ${row.todo_id}`);
  for (const [todo, log] of byTodo) {
    // G2: a legal history, in which no update is lost.
    let before: object | null = null;
    for (const row of log) {
      const exists = before !== null;
      if ((row.type === "created") === exists) say(`illegal ${row.type} of ${todo} at ${row.seq}`);
      const after: object | null = row.todo === null ? null : (JSON.parse(row.todo) as object);
      const patch = patches.get(row.id);
      if (patch && row.type !== "deleted") {
        const merged = JSON.stringify({ ...before, ...patch });
        if (merged !== JSON.stringify(after)) {
          say(`${row.type} ${row.id} made ${JSON.stringify(after)}, not ${merged}`);
        }
      }
      before = after;
    }
    // G6: KV holds the log's last word.
    const last = log.at(-1);
    if (!last) continue;
    const { todoKey } = await import("../../src/todo/kv.ts");
    const held = await world.kv.get(todoKey(last.owner, last.todo_id ?? 0));
    if (held !== last.todo)
      say(`KV holds ${held} for ${todo}, the log's last word is ${last.todo}`);
  }
  return wrong;
}
