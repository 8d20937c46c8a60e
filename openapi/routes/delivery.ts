/** Routes under /delivery. */
import type { Registry } from "../../src/outbox/outbox.ts";
import { BulkResend, IdPath, LogQuery, PollQuery } from "../../src/outbox/schema.ts";
import { EXAMPLE_TIME, exampleBody, exampleDelivery, exampleResent } from "../examples.ts";
import type { Operation } from "../operation.ts";

const tag = "Deliveries";
const byId = { id: "$response.body#/id" };

/** Routes under /delivery. */
export function deliveryOperations(nouns: Registry): Operation[] {
  return [...reads(nouns), pollOf(nouns), ...resends(nouns)];
}

function pollOf(nouns: Registry): Operation {
  const delivery = exampleDelivery(nouns);
  return {
    method: "get",
    path: "/delivery/poll",
    id: "pollDeliveries",
    tag,
    summary: "Ask what is new",
    description:
      "For a page that asks every few seconds: the deliveries that came since, how those go on that it shows, which endpoints fail, what waits.",
    query: PollQuery,
    answers: {
      200: {
        description: "What is new.",
        schema: "Polled",
        example: {
          data: [delivery],
          has_more: false,
          after: 1,
          watched: [],
          failing: { endpoints: 0, latest: null },
          waiting: null,
          gateway: "ok",
        },
      },
    },
  };
}

function reads(nouns: Registry): Operation[] {
  const delivery = exampleDelivery(nouns);
  const attempt = {
    at: EXAMPLE_TIME,
    took_ms: 25,
    http_status: 200,
    response: "ok",
    error: null,
    request_headers: { "Content-Type": "application/json", "X-Api-Key": "[hidden]" },
    response_headers: { "Content-Type": "text/plain" },
  };
  return [
    {
      method: "get",
      path: "/delivery",
      id: "listDeliveries",
      tag,
      summary: "List deliveries",
      description:
        "Newest first. Those being sent are shown as Convoy has them now. A page may be short and still have a `cursor`.",
      query: LogQuery,
      answers: {
        200: {
          description: "A page.",
          schema: ["DeliveryPage", "OwnedDeliveryPage"],
          example: { data: [delivery] },
        },
      },
    },
    {
      method: "get",
      path: "/delivery/:id",
      id: "getDelivery",
      tag,
      summary: "Read a delivery",
      description:
        "With the body that is sent, and every attempt; null if Convoy cannot say. Of request headers it shows the names.",
      params: IdPath,
      answers: {
        200: {
          description: "The delivery.",
          schema: "DeliveryDetail",
          example: {
            ...{ ...delivery, last_http_status: 200 },
            body: exampleBody(nouns),
            attempts_made: [attempt],
          },
          links: { resendDelivery: byId },
        },
      },
      errors: [404],
    },
  ];
}

function resends(nouns: Registry): Operation[] {
  return [
    {
      method: "post",
      path: "/delivery/:id/resend",
      id: "resendDelivery",
      tag,
      summary: "Send a delivery again",
      description: "One that is failed, dead or delivered. `event_id` stays the same.",
      params: IdPath,
      answers: {
        202: {
          description: "On its way.",
          schema: "Resent",
          example: {
            data: "Delivery queued",
            delivery: exampleResent(nouns),
          },
          headers: ["X-Event-Id"],
        },
      },
      errors: [404, 409],
    },
    {
      method: "post",
      path: "/delivery/resend",
      id: "resendDeliveries",
      tag,
      summary: "Send failed and dead deliveries again",
      description: "Up to 1,000 a call, newest first; with a `cursor` there may be more.",
      body: { schema: BulkResend, example: { status: "failed" }, optional: true },
      answers: {
        200: {
          description: "With `dry_run`: how many would be sent.",
          schema: "BulkResent",
          example: { resent: 1 },
        },
        202: { description: "On their way.", schema: "BulkResent", example: { resent: 1 } },
      },
    },
  ];
}
