/** Routes under /event. */
import type { Registry } from "../../src/outbox/outbox.ts";
import { IdPath, LogQuery } from "../../src/outbox/schema.ts";
import {
  EXAMPLE_EVENT_ID,
  exampleBody,
  exampleDelivery,
  exampleEvent,
  exampleResent,
} from "../examples.ts";
import type { Operation } from "../operation.ts";

const tag = "Events";

/** Routes under /event. */
export function eventOperations(nouns: Registry): Operation[] {
  return [...lists(nouns), ...one(nouns)];
}

function lists(nouns: Registry): Operation[] {
  const event = exampleEvent(nouns);
  const { type, resource } = event;
  const { sequence, ...changed } = exampleBody(nouns);
  const body = { ...changed, test: true };
  return [
    {
      method: "get",
      path: "/event",
      id: "listEvents",
      tag,
      summary: "List events",
      description:
        "Newest first, without reads. `status`, `endpoint`: those with such a delivery. A page may be short and still have a `cursor`.",
      query: LogQuery,
      answers: {
        200: {
          description: "A page.",
          schema: ["EventPage", "OwnedEventPage"],
          example: { data: [event] },
        },
      },
    },
    {
      method: "get",
      path: "/event/summary",
      id: "summarizeEvents",
      tag,
      summary: "Count deliveries by status",
      description: "With the age of the oldest that is not sent, and why. Counts stop at 1,000.",
      answers: {
        200: {
          description: "The owner's deliveries.",
          schema: "Summary",
          example: {
            ...{ pending: 0, sending: 0, held: 0, failed: 0, dead: 0 },
            oldest_pending_ms: null,
            errors: [],
          },
        },
      },
    },
    {
      method: "get",
      path: "/event/type",
      id: "listEventTypes",
      tag,
      summary: "List event types",
      description: "With the body that a test event of each sends.",
      answers: {
        200: {
          description: "The catalogue.",
          schema: "EventTypes",
          example: { data: [{ type, description: body.description, resource, body }] },
        },
      },
    },
  ];
}

function one(nouns: Registry): Operation[] {
  const event = exampleEvent(nouns);
  const delivery = exampleDelivery(nouns);
  return [
    {
      method: "get",
      path: "/event/:id",
      id: "getEvent",
      tag,
      summary: "Read an event",
      description: "With its deliveries.",
      params: IdPath,
      answers: {
        200: {
          description: "The event.",
          schema: "EventDetail",
          example: { ...event, deliveries: [delivery] },
          links: { replayEvent: { id: "$response.body#/id" } },
        },
      },
      errors: [404],
    },
    {
      method: "post",
      path: "/event/:id/replay",
      id: "replayEvent",
      tag,
      summary: "Send an event again",
      description:
        "Its failed and dead deliveries or, if there are none, all that are final. `event_id` stays the same.",
      params: IdPath,
      answers: {
        202: {
          description: "On its way.",
          schema: "Replayed",
          example: {
            data: "Event queued",
            event_id: EXAMPLE_EVENT_ID,
            deliveries: [exampleResent(nouns)],
          },
          headers: ["X-Event-Id"],
        },
      },
      errors: [404, 409],
    },
  ];
}
