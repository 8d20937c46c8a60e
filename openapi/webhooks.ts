/** The `webhooks` section: one schema per event type, inline, since Convoy's importer does not follow $ref. */

import { WEBHOOKS } from "../src/answers.ts";
import { WORDS } from "../src/event/message.ts";
import type { EventType } from "../src/event/schema.ts";
import { inputSchema, type JsonSchema } from "./json-schema.ts";

/** The category of every event type in Convoy's catalogue. */
export const CATEGORY = "todo";

const common = {
  event_id: "019ab5e1-6c00-7d2e-8f10-2b6f0c9a4d31",
  occurred_at: "2026-11-24T12:00:00.000Z",
};
const todo = {
  id: 1,
  item: "Setup a convoy webhook project and publish my first webhook",
  completed: false,
};

const EXAMPLES: Record<EventType, object> = {
  ping: { sequence: 7 },
  created: { sequence: 1, todo },
  retrieved: { todo },
  updated: { sequence: 2, todo: { ...todo, completed: true } },
  deleted: { sequence: 3, todo: { id: 1 } },
  failed: { sequence: 4, todo: { id: 3 } },
};

const WHEN: Record<EventType, string> = {
  ping: "A test.",
  created: "A todo was created.",
  retrieved: "A todo was read; without `todo`, the list.",
  updated: "A todo was changed.",
  deleted: "A todo was removed.",
  failed: "A todo was not found.",
};

/** An event type of the catalogue. */
export type CatalogueEntry = {
  name: string;
  description: string;
  schema: JsonSchema;
  example: object;
};

/** All event types. A receiver must accept bodies with more than the schema lists. */
export const CATALOGUE: CatalogueEntry[] = (Object.keys(WEBHOOKS) as EventType[]).map((name) => ({
  name,
  description: WHEN[name],
  schema: inputSchema(WEBHOOKS[name]),
  example: { ...WORDS[name], ...common, ...EXAMPLES[name] },
}));

/** The `webhooks` section. */
export function webhooks() {
  return Object.fromEntries(
    CATALOGUE.map(({ name, description, schema, example }) => [
      name,
      {
        post: {
          operationId: name,
          tags: ["Webhooks"],
          summary: description,
          security: [],
          requestBody: { required: true, content: { "application/json": { schema, example } } },
          responses: {
            "2XX": { description: "Accepted. Anything else is delivered again." },
          },
        },
      },
    ]),
  );
}
