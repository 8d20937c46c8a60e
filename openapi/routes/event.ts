/** Routes under /event. */
import { BulkReplay, EventListQuery, EventPath } from "../../src/event/schema.ts";
import type { Operation } from "../operation.ts";
import { EXAMPLE_DELIVERY } from "./endpoint-life.ts";

const tag = "Events";
const id = EXAMPLE_DELIVERY.idempotency_key;
const event = {
  id,
  sequence: 1,
  type: "created",
  endpoint_id: EXAMPLE_DELIVERY.endpoint_id,
  todo_id: 1,
  todo: {
    id: 1,
    item: "Setup a convoy webhook project and publish my first webhook",
    completed: false,
  },
  state: "accepted",
  attempts: 1,
  replays: 0,
  error: null,
  occurred_at: "2026-11-24T12:00:00.000Z",
  accepted_at: "2026-11-24T12:00:00.000Z",
  finished_at: null,
  next_try_at: "2026-11-24T12:02:00.000Z",
};

/** Routes under /event. */
export const EVENT: Operation[] = [
  {
    method: "get",
    path: "/event",
    id: "listEvents",
    tag,
    summary: "List events",
    description: "Newest first.",
    query: EventListQuery,
    answers: {
      200: { description: "A page.", schema: "EventPage", example: { data: [event] } },
    },
  },
  {
    method: "post",
    path: "/event/replay",
    id: "replayDeadEvents",
    tag,
    summary: "Replay dead events",
    description: "Up to 1,000, oldest first.",
    body: { schema: BulkReplay, example: { state: "dead" } },
    answers: {
      202: {
        description: "On its way.",
        schema: "BulkReplayed",
        example: { data: "0 events queued", replayed: 0 },
      },
    },
  },
  {
    method: "get",
    path: "/event/summary",
    id: "summarizeEvents",
    tag,
    summary: "Summarize the backlog",
    description:
      "How many events are not sent yet, since when and why, and how many were given up.",
    answers: {
      200: {
        description: "The owner's backlog.",
        schema: "Backlog",
        example: { pending: 0, oldest_pending_ms: null, dead: 0, errors: [] },
      },
    },
  },
  {
    method: "get",
    path: "/event/:id",
    id: "getEvent",
    tag,
    summary: "Read an event",
    description: "With its deliveries; null if Convoy does not answer.",
    params: EventPath,
    answers: {
      200: {
        description: "The event.",
        schema: "EventDetail",
        example: { ...event, deliveries: [EXAMPLE_DELIVERY] },
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
    summary: "Replay an event",
    description: "A finished event gets a new key; `event_id` stays the same.",
    params: EventPath,
    answers: {
      202: {
        description: "On its way.",
        schema: "Replayed",
        example: { data: "Event queued", event_id: id, idempotency_key: `${id}:1` },
        headers: ["X-Event-Id"],
      },
    },
    errors: [404, 409],
  },
];
