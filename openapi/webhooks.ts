/** The `webhooks` section: one schema per event type, inline, since Convoy's importer does not follow $ref. */
import { bodyOf, exampleOf } from "../src/outbox/message.ts";
import { type EventType, eventTypesOf, PING, type Registry } from "../src/outbox/outbox.ts";
import { PingWebhook, webhookSchema } from "../src/outbox/webhook.ts";
import { EXAMPLE_EVENT_ID, EXAMPLE_TIME } from "./examples.ts";
import { inputSchema, type JsonSchema } from "./json-schema.ts";

/** An event type of the catalogue. `category`: its noun. */
export type CatalogueEntry = {
  name: string;
  category: string;
  description: string;
  schema: JsonSchema;
  example: object;
};

/** All event types. A receiver must accept bodies with more than the schema lists. */
export function catalogueOf(nouns: Registry): CatalogueEntry[] {
  return eventTypesOf(nouns).map((type) => {
    const noun = nouns.get(type.resource ?? "");
    return {
      name: type.type,
      category: noun?.name ?? PING.type,
      description: type.description,
      schema: inputSchema(noun ? webhookSchema(noun, type) : PingWebhook),
      example: exampleBody(nouns, type),
    };
  });
}

function exampleBody(nouns: Registry, type: EventType): object {
  // A read has no sequence: it is not in the log.
  const isRead = nouns.get(type.resource ?? "")?.verbs.retrieved === type;
  const event = { id: EXAMPLE_EVENT_ID, occurred_at: Date.parse(EXAMPLE_TIME), test: 0 as const };
  return bodyOf({ ...event, ...(isRead ? {} : { seq: 1 }), ...exampleOf(type) }, nouns);
}

export function webhooks(nouns: Registry) {
  const responses = { "2XX": { description: "Accepted. Anything else is delivered again." } };
  return Object.fromEntries(
    catalogueOf(nouns).map(({ name, description: summary, schema, example }) => {
      const content = { "application/json": { schema, example } };
      const requestBody = { required: true, content };
      const tags = ["Webhooks"];
      return [
        name,
        { post: { operationId: name, tags, summary, security: [], requestBody, responses } },
      ];
    }),
  );
}
