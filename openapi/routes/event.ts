/** Routes under /event. */
import type { Registry } from "../../src/outbox/outbox.ts";
import { IdPath, LogQuery } from "../../src/outbox/schema.ts";
import * as examples from "../examples.ts";
import { answer, routesOf } from "../operation.ts";

const route = routesOf("Events");

export const eventOperations = (nouns: Registry) => [...lists(nouns), ...one(nouns)];

function lists(nouns: Registry) {
  const event = examples.exampleEvent(nouns);
  const { sequence, ...changed } = examples.exampleBody(nouns);
  const { type, resource } = event;
  const body = { ...changed, test: true };
  const counts = { pending: 0, sending: 0, held: 0, failed: 0, dead: 0 };
  return [
    route("get /event", "listEvents", "List events", {
      description:
        "Newest first, without reads. `status`, `endpoint`: those with such a delivery. A page may be short and still have a `cursor`.",
      query: LogQuery,
      answers: { 200: answer("A page.", ["EventPage", "OwnedEventPage"], { data: [event] }) },
    }),
    route("get /event/summary", "summarizeEvents", "Count deliveries by status", {
      description: "With the age of the oldest that is not sent, and why. Counts stop at 1,000.",
      answers: {
        200: answer("The owner's deliveries.", "Summary", {
          ...counts,
          oldest_pending_ms: null,
          errors: [],
        }),
      },
    }),
    route("get /event/type", "listEventTypes", "List event types", {
      description: "With the body that a test event of each sends.",
      answers: {
        200: answer("The catalogue.", "EventTypes", {
          data: [{ type, description: body.description, resource, body }],
        }),
      },
    }),
  ];
}

function one(nouns: Registry) {
  const detail = { ...examples.exampleEvent(nouns), deliveries: [examples.exampleDelivery(nouns)] };
  const replayed = {
    data: "Event queued",
    event_id: examples.EXAMPLE_EVENT_ID,
    deliveries: [examples.exampleResent(nouns)],
  };
  const links = { replayEvent: { id: "$response.body#/id" } };
  return [
    route("get /event/:id", "getEvent", "Read an event", {
      description: "With its deliveries.",
      params: IdPath,
      answers: { 200: answer("The event.", "EventDetail", detail, { links }) },
    }),
    route("post /event/:id/replay", "replayEvent", "Send an event again", {
      description:
        "Its failed and dead deliveries or, if there are none, all that are final. `event_id` stays the same.",
      params: IdPath,
      answers: { 202: answer("On its way.", "Replayed", replayed, { headers: ["X-Event-Id"] }) },
      errors: [409],
    }),
  ];
}
