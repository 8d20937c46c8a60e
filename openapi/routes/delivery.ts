/** Routes under /delivery. */
import type { Registry } from "../../src/outbox/outbox.ts";
import { BulkResend, IdPath, LogQuery, PollQuery } from "../../src/outbox/schema.ts";
import { EXAMPLE_TIME, exampleBody, exampleDelivery, exampleResent } from "../examples.ts";
import { answer, routesOf } from "../operation.ts";

const route = routesOf("Deliveries");
const ATTEMPT = {
  at: EXAMPLE_TIME,
  took_ms: 25,
  http_status: 200,
  response: "ok",
  error: null,
  request_headers: { "Content-Type": "application/json", "X-Api-Key": "[hidden]" },
  response_headers: { "Content-Type": "text/plain" },
};

export const deliveryOperations = (nouns: Registry) => [...reads(nouns), ...resends(nouns)];

function reads(nouns: Registry) {
  const delivery = exampleDelivery(nouns);
  const watching = { has_more: false, after: 1, watched: [] };
  const state = { failing: { endpoints: 0, latest: null }, waiting: null, gateway: "ok" };
  const detail = { body: exampleBody(nouns), attempts_made: [ATTEMPT] };
  return [
    route("get /delivery", "listDeliveries", "List deliveries", {
      description:
        "Newest first. Those being sent are shown as Convoy has them now. A page may be short and still have a `cursor`.",
      query: LogQuery,
      answers: {
        200: answer("A page.", ["DeliveryPage", "OwnedDeliveryPage"], { data: [delivery] }),
      },
    }),
    route("get /delivery/:id", "getDelivery", "Read a delivery", {
      description:
        "With the body that is sent, and every attempt; null if Convoy cannot say. Of request headers it shows the names.",
      params: IdPath,
      answers: {
        200: answer(
          "The delivery.",
          "DeliveryDetail",
          { ...delivery, last_http_status: 200, ...detail },
          { links: { resendDelivery: { id: "$response.body#/id" } } },
        ),
      },
    }),
    route("get /delivery/poll", "pollDeliveries", "Ask what is new", {
      description:
        "For a page that asks every few seconds: the deliveries that came since, how those go on that it shows, which endpoints fail, what waits.",
      query: PollQuery,
      answers: {
        200: answer("What is new.", "Polled", { data: [delivery], ...watching, ...state }),
      },
    }),
  ];
}

function resends(nouns: Registry) {
  const resent = { data: "Delivery queued", delivery: exampleResent(nouns) };
  return [
    route("post /delivery/:id/resend", "resendDelivery", "Send a delivery again", {
      description: "One that is failed, dead or delivered. `event_id` stays the same.",
      params: IdPath,
      answers: { 202: answer("On its way.", "Resent", resent, { headers: ["X-Event-Id"] }) },
      errors: [409],
    }),
    route("post /delivery/resend", "resendDeliveries", "Send failed and dead deliveries again", {
      description: "Up to 1,000 a call, newest first; with a `cursor` there may be more.",
      body: { schema: BulkResend, example: { status: "failed" }, optional: true },
      answers: {
        200: answer("With `dry_run`: how many would be sent.", "BulkResent", { resent: 1 }),
        202: answer("On their way.", "BulkResent", { resent: 1 }),
      },
    }),
  ];
}
