// The local Convoy answers each operation of Convoy's openapi3.json, or says that it does not have it.
import { afterAll, expect, test } from "vitest";
import { createConvoy } from "../../local/convoy/index.ts";
import operations from "./recorded/openapi-operations.json" with { type: "json" };

/** What the local Convoy has: what the Worker uses, and what was recorded. */
const HERE = new Set([
  // The project itself.
  "get ",
  ...["get", "post"].map((method) => `${method} /endpoints`),
  ...["get", "put", "delete"].map((method) => `${method} /endpoints/{endpointID}`),
  "post /endpoints/{endpointID}/activate",
  "put /endpoints/{endpointID}/expire_secret",
  "put /endpoints/{endpointID}/pause",
  ...["get", "post"].map((method) => `${method} /event-types`),
  "put /event-types/{eventTypeId}",
  "get /eventdeliveries",
  "post /eventdeliveries/forceresend",
  "get /eventdeliveries/{eventDeliveryID}",
  "get /eventdeliveries/{eventDeliveryID}/deliveryattempts",
  "get /eventdeliveries/{eventDeliveryID}/deliveryattempts/{deliveryAttemptID}",
  "put /eventdeliveries/{eventDeliveryID}/resend",
  ...["get", "post"].map((method) => `${method} /events`),
  "post /events/batchreplay",
  "get /events/{eventID}",
  "put /events/{eventID}/replay",
  ...["get", "post"].map((method) => `${method} /subscriptions`),
  ...["get", "put", "delete"].map((method) => `${method} /subscriptions/{subscriptionID}`),
]);

const convoy = createConvoy();
afterAll(() => convoy.close());

async function ask(operation: string): Promise<{ status: number; message: string }> {
  const [method = "", path = ""] = operation.split(" ");
  const response = await convoy.fetch(
    new Request(`http://x.convoy.test/api${path.replace(/\{\w+\}/g, "some-id")}`, {
      method,
      headers: { Authorization: "Bearer local" },
      body: method === "GET" ? null : "{}",
    }),
  );
  const { message } = (await response.json()) as { message: string };
  return { status: response.status, message };
}

const isHere = (operation: string): boolean => {
  const [method = "", path = ""] = operation.split(" ");
  return HERE.has(`${method.toLowerCase()} ${path.replace("/v1/projects/{projectID}", "")}`);
};

test.each(operations.filter(isHere))("%s is answered", async (operation) => {
  expect((await ask(operation)).status).not.toBe(501);
});

test.each(operations.filter((one) => !isHere(one)))(
  "%s answers 501 and names itself",
  async (operation) => {
    const { status, message } = await ask(operation);
    const [method = "", path = ""] = operation.split(" ");
    expect(status).toBe(501);
    expect(message).toContain(`${method} /api${path.replace(/\{\w+\}/g, "some-id")}`);
  },
);

test("openapi3.json has every operation listed here", () => {
  expect(operations.filter(isHere)).toHaveLength(HERE.size);
});
