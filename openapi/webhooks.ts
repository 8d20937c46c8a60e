/** The `webhooks` section: one schema per event type, inline, since Convoy's importer does not follow $ref. */
import { bodyOf } from "../src/outbox/message.ts";
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
    const noun = [...nouns.values()].find(({ types }) => types.has(type.type));
    return {
      name: type.type,
      category: noun?.name ?? PING.type,
      description: type.description,
      schema: inputSchema(noun ? webhookSchema(noun, type) : PingWebhook),
      example: exampleOf(nouns, type, noun?.name ?? null),
    };
  });
}

function exampleOf(nouns: Registry, { type, example }: EventType, resource: string | null): object {
  const { id = null } = (example ?? {}) as { id?: string | number | null };
  // A read has no sequence: it is not in the log.
  const isRead = resource !== null && nouns.get(resource)?.verbs.retrieved.type === type;
  const content = {
    id: EXAMPLE_EVENT_ID,
    ...(isRead ? {} : { seq: 1 }),
    type,
    occurred_at: Date.parse(EXAMPLE_TIME),
    resource,
    resource_id: id === null ? null : String(id),
    data: example && JSON.stringify(example),
    test: 0 as const,
  };
  return bodyOf(content, nouns);
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
