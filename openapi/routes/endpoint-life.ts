/** Routes under /endpoint that test an endpoint, stop it, or change its secret. */
import { EndpointPath, NewTest, Rotation } from "../../src/endpoint/schema.ts";
import { PING } from "../../src/outbox/outbox.ts";
import { EXAMPLE_ENDPOINT, EXAMPLE_EVENT_ID, EXAMPLE_SECRET } from "../examples.ts";
import type { Operation } from "../operation.ts";
import { LATER } from "./endpoint.ts";

const tag = "Endpoints";

const queued = { id: "$response.body#/event_id" };
const moved = (status: string) => ({
  description: "The endpoint.",
  schema: "Endpoint",
  example: { ...EXAMPLE_ENDPOINT, status },
});

/** Routes under /endpoint that test an endpoint, stop it, or change its secret. */
export const ENDPOINT_LIFE: Operation[] = [
  {
    method: "post",
    path: "/endpoint/:id/ping",
    id: "pingEndpoint",
    tag,
    summary: "Send a ping",
    params: EndpointPath,
    answers: {
      202: {
        description: "On its way.",
        schema: "PingQueued",
        example: { data: "Ping queued", event_id: EXAMPLE_EVENT_ID },
        headers: ["X-Event-Id"],
        links: { getEvent: queued, replayEvent: queued },
      },
    },
    errors: [404, 409],
  },
  {
    method: "post",
    path: "/endpoint/:id/test",
    id: "testEndpoint",
    tag,
    summary: "Send a test event",
    description:
      "The example of an event type, with `test: true` and without a `sequence`: receivers ignore it.",
    params: EndpointPath,
    body: { schema: NewTest, example: { type: PING.type } },
    answers: {
      202: {
        description: "On its way.",
        schema: "TestQueued",
        example: { data: "Test queued", event_id: EXAMPLE_EVENT_ID },
        headers: ["X-Event-Id"],
        links: { getEvent: queued, replayEvent: queued },
      },
    },
    errors: [404, 409],
  },
  {
    method: "post",
    path: "/endpoint/:id/pause",
    id: "pauseEndpoint",
    tag,
    summary: "Pause an endpoint",
    description: "What happens meanwhile is held, and delivered after `activate`.",
    params: EndpointPath,
    answers: { 200: moved("paused") },
    errors: [404],
  },
  {
    method: "post",
    path: "/endpoint/:id/activate",
    id: "activateEndpoint",
    tag,
    summary: "Activate an endpoint",
    description: "Delivers what was held. One that Convoy has disabled is enabled there, too.",
    params: EndpointPath,
    answers: { 200: moved("active"), 202: LATER },
    errors: [404, 409, 502],
  },
  {
    method: "post",
    path: "/endpoint/:id/rotate-secret",
    id: "rotateSecret",
    tag,
    summary: "Change the secret",
    description: "Both secrets sign while they overlap, by default for 24 hours.",
    params: EndpointPath,
    body: { schema: Rotation, example: { overlap_hours: 24 }, optional: true },
    answers: {
      200: {
        description: "The secret is shown only once.",
        schema: "Rotated",
        example: {
          endpoint: EXAMPLE_ENDPOINT,
          secret: EXAMPLE_SECRET,
          overlap_hours: 24,
        },
      },
    },
    errors: [404, 409, 502],
  },
];
