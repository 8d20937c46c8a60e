/** Convoy's catalogue of event types. Only `npm run catalogue` uses it; no route does. */
import { type Convoy, call } from "../src/convoy/client.ts";

/** An event type as Convoy returns it. `category`, `description` and `json_schema` may be empty. */
export type ConvoyEventType = {
  uid: string;
  name: string;
  category: string;
  description: string;
  json_schema: object | null;
  deprecated_at: string | null;
};

/** The fields that Convoy accepts for an event type. */
export type ConvoyEventTypeFields = { category: string; description: string; json_schema: object };

/** All event types of the project, in one answer; every project has "*" (recorded). */
export function listEventTypes(convoy: Convoy) {
  return call<ConvoyEventType[] | null>(convoy, "/event-types");
}

/** Creates an event type; 400 if the name exists (recorded). */
export function createEventType(convoy: Convoy, name: string, fields: ConvoyEventTypeFields) {
  return call<ConvoyEventType>(convoy, "/event-types", {
    method: "POST",
    body: { name, ...fields },
  });
}

/** Updates an event type, except its name (openapi3.json, UpdateEventType); 202. */
export function updateEventType(convoy: Convoy, id: string, fields: ConvoyEventTypeFields) {
  return call<ConvoyEventType>(convoy, `/event-types/${encodeURIComponent(id)}`, {
    method: "PUT",
    body: fields,
  });
}
