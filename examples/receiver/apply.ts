// Applies webhooks to the copy of the todo list. Events may arrive late, twice and in any order.
import * as z from "zod/mini";

const Id = z.int().check(z.nonnegative());
const change = { event_id: z.string().check(z.minLength(1), z.maxLength(255)), sequence: Id };
const Todo = z.looseObject({ id: Id, item: z.string(), completed: z.boolean() });

/** The events that change the list. Fields that a later version adds to a todo are kept. */
export const Change = z.discriminatedUnion("event", [
  z.object({ event: z.enum(["created", "updated"]), ...change, todo: Todo }),
  z.object({ event: z.literal("deleted"), ...change, todo: z.object({ id: Id }) }),
]);
export type Change = z.infer<typeof Change>;

/** `repeat`: its event_id was here before; `late`: a later event of this todo was; else `applied`. */
export type Outcome = "applied" | "repeat" | "late";

/**
 * Applies a change to the copy, in one transaction that is durable when this returns. The highest
 * `sequence` of a todo wins, whatever the order of arrival; a deleted todo stays as a row without
 * `todo`, so that a late update does not bring it back. Throws what D1 throws.
 */
export async function applyChange(
  db: D1Database,
  { event, event_id, sequence, todo }: Change,
): Promise<Outcome> {
  const [seen, copied] = await db.batch([
    db
      .prepare("INSERT INTO seen (event_id, seen_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
      .bind(event_id, Date.now()),
    // changes() counts the rows of the previous statement: 0 for a repeat.
    db
      .prepare(
        `INSERT INTO todo (id, sequence, todo) SELECT ?, ?, ? WHERE changes() > 0
         ON CONFLICT (id) DO UPDATE SET sequence = excluded.sequence, todo = excluded.todo
         WHERE excluded.sequence > sequence`,
      )
      .bind(todo.id, sequence, event === "deleted" ? null : JSON.stringify(todo)),
  ]);
  if (seen!.meta.changes === 0) return "repeat";
  return copied!.meta.changes === 0 ? "late" : "applied";
}
