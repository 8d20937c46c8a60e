/** The examples of the document: an event about the first noun, and its delivery. */
import type { Registry } from "../src/outbox/outbox.ts";

/** When everything in the examples happens. */
export const EXAMPLE_TIME = "2026-11-24T12:00:00.000Z";
export const EXAMPLE_EVENT_ID = "019ab5e1-6c00-7d2e-8f10-2b6f0c9a4d31";

export const EXAMPLE_ENDPOINT = {
  id: "01M86F4EG3B4N9ZPEW1BAAMQ4B",
  name: "Todo endpoint",
  url: "https://webhook.site/40984a4e-7b36-41fb-a234-9c2006bac8b5",
  description: "Endpoint for todo API.",
  http_timeout: 10,
  event_types: null,
  header_names: [],
  rate_limit: null,
  status: "active",
  created_at: EXAMPLE_TIME,
  updated_at: EXAMPLE_TIME,
};

export const EXAMPLE_SECRET = "KRRDwhSGCZSJ8qKJ5UuTxGUUe";

function subject(nouns: Registry) {
  const [noun] = nouns.values();
  if (!noun) throw new Error("There is no noun to give examples of.");
  const { name, title, example, verbs } = noun;
  const about = { resource: name, resource_id: String(example.id), title: title(example) };
  return { about, data: example as object, created: verbs.created };
}

export function exampleDelivery(nouns: Registry) {
  const { about, created } = subject(nouns);
  return {
    id: `${EXAMPLE_EVENT_ID}.${EXAMPLE_ENDPOINT.id}`,
    event_id: EXAMPLE_EVENT_ID,
    sequence: 1,
    event_type: created.type,
    endpoint_id: EXAMPLE_ENDPOINT.id,
    ...about,
    status: "delivered",
    attempts: 1,
    resends: 0,
    last_http_status: null,
    error: null,
    created_at: EXAMPLE_TIME,
    next_try_at: null,
    finished_at: "2026-11-24T12:00:01.000Z",
  };
}

/** The delivery, as it is just after it was sent again. */
export function exampleResent(nouns: Registry) {
  return {
    ...exampleDelivery(nouns),
    ...{ status: "pending", attempts: 0, resends: 1, finished_at: null },
    next_try_at: "2026-11-24T12:01:30.000Z",
  };
}

export function exampleEvent(nouns: Registry) {
  const { about, data, created } = subject(nouns);
  return {
    id: EXAMPLE_EVENT_ID,
    sequence: 1,
    type: created.type,
    change: "create",
    ...about,
    data,
    status: "delivered",
    deliveries: { delivered: 1 },
    occurred_at: EXAMPLE_TIME,
  };
}

/** The webhook of the event. */
export function exampleBody(nouns: Registry) {
  const { about, data, created } = subject(nouns);
  return {
    event: created.event,
    description: created.description,
    event_id: EXAMPLE_EVENT_ID,
    sequence: 1,
    occurred_at: EXAMPLE_TIME,
    [about.resource]: data,
  };
}
