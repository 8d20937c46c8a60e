/** Registers the event types with Convoy; safe to repeat. */
import { isDeepStrictEqual } from "node:util";
import { createEventType, listEventTypes, updateEventType } from "../scripts/event-types.ts";
import type { Answer, Convoy } from "../src/convoy/client.ts";
import type { CatalogueEntry } from "./webhooks.ts";

/** What was done with each event type. */
export type Registered = { name: string; done: "created" | "updated" | "unchanged" };

/**
 * Creates what is missing, updates what differs, leaves the rest alone.
 * @throws Error with Convoy's status and message if it refuses
 */
export async function registerEventTypes(
  convoy: Convoy,
  catalogue: CatalogueEntry[],
): Promise<Registered[]> {
  const listed = demand("list event types", await listEventTypes(convoy)) ?? [];
  const registered: Registered[] = [];
  for (const { name, category, description, schema } of catalogue) {
    const fields = { category, description, json_schema: schema };
    const known = listed.find((type) => type.name === name);
    if (!known) {
      demand(`create ${name}`, await createEventType(convoy, name, fields));
      registered.push({ name, done: "created" });
      continue;
    }
    const there = {
      category: known.category,
      description: known.description,
      json_schema: known.json_schema,
    };
    const same = isDeepStrictEqual(there, fields);
    if (!same) demand(`update ${name}`, await updateEventType(convoy, known.uid, fields));
    registered.push({ name, done: same ? "unchanged" : "updated" });
  }
  return registered;
}

function demand<T>(what: string, answer: Answer<T>): T {
  if (answer.ok) return answer.data;
  const { status, message } = answer;
  throw new Error(
    status === null
      ? `Convoy does not answer (${what}: ${message}). Is it running?`
      : `Convoy refused to ${what}: ${status} ${message}`,
  );
}
