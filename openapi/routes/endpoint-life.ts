/** Routes under /endpoint that test, stop and watch an endpoint. */
import {
  DeliveryListQuery,
  DeliveryPath,
  EndpointPath,
  Rotation,
} from "../../src/endpoint/schema.ts";
import type { Operation } from "../operation.ts";
import { EXAMPLE_ENDPOINT, EXAMPLE_SECRET } from "./endpoint.ts";

const tag = "Endpoints";

/** The delivery used in every example. */
export const EXAMPLE_DELIVERY = {
  id: "01M86F9V6Y4M0V4N2D3C8B7AMQ",
  endpoint_id: EXAMPLE_ENDPOINT.id,
  event_type: "created",
  idempotency_key: "019ab5e1-6c00-7d2e-8f10-2b6f0c9a4d31",
  status: "Success",
  attempts: 1,
  max_attempts: 10,
  next_attempt_at: null,
  created_at: "2026-11-24T12:00:00Z",
  updated_at: "2026-11-24T12:00:00Z",
};

const moved = (status: string) => ({
  description: "The endpoint.",
  schema: "Endpoint",
  example: { ...EXAMPLE_ENDPOINT, status },
});

/** Routes under /endpoint that test, stop and watch an endpoint. */
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
        example: { data: "Ping queued", event_id: EXAMPLE_DELIVERY.idempotency_key },
        headers: ["X-Event-Id"],
        links: {
          getEvent: { id: "$response.body#/event_id" },
          replayEvent: { id: "$response.body#/event_id" },
        },
      },
    },
    errors: [404],
  },
  {
    method: "post",
    path: "/endpoint/:id/pause",
    id: "pauseEndpoint",
    tag,
    summary: "Pause an endpoint",
    description: "What happens meanwhile is delivered after `activate`.",
    params: EndpointPath,
    answers: { 200: moved("paused") },
    errors: [404, 409, 502],
  },
  {
    method: "post",
    path: "/endpoint/:id/activate",
    id: "activateEndpoint",
    tag,
    summary: "Activate an endpoint",
    description: "Delivers what was held back. `activating`: the cron is still doing so.",
    params: EndpointPath,
    answers: { 200: moved("active") },
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
  {
    method: "get",
    path: "/endpoint/:id/delivery",
    id: "listDeliveries",
    tag,
    summary: "List deliveries",
    description: "As Convoy reports them, newest first.",
    params: EndpointPath,
    query: DeliveryListQuery,
    answers: {
      200: {
        description: "A page.",
        schema: "DeliveryPage",
        example: { data: [EXAMPLE_DELIVERY] },
      },
    },
    errors: [404, 502],
  },
  {
    method: "get",
    path: "/endpoint/:id/delivery/:delivery",
    id: "getDelivery",
    tag,
    summary: "Read a delivery",
    params: DeliveryPath,
    answers: {
      200: {
        description: "The delivery.",
        schema: "DeliveryDetail",
        example: {
          ...EXAMPLE_DELIVERY,
          attempts_made: [
            {
              id: "01M86F9V6Y4M0V4N2D3C8B7AMR",
              http_status: "200 OK",
              response: "ok",
              error: null,
              requested_at: "2026-11-24T12:00:00Z",
              responded_at: "2026-11-24T12:00:00Z",
            },
          ],
        },
      },
    },
    errors: [404, 502],
  },
];
