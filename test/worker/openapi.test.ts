/** The examples in the API document hold: its requests, made in order, get its answers. */
import { expect, it } from "vitest";
import { buildDocument } from "../../openapi/document.ts";
import { walked } from "../support/events.ts";
import { call, newEnv } from "../support/worker.ts";

type Body = { content: { "application/json": { example?: unknown } } };
type Operation = {
  operationId: string;
  requestBody?: Body;
  responses: Record<string, Partial<Body>>;
};

/** Every operation but those that need a token, which nobody has while AUTH is open. */
const ORDER = [
  "createEndpoint",
  "listEndpoints",
  "getEndpoint",
  "updateEndpoint",
  "createTodo",
  "listTodos",
  "getTodo",
  "getEvent",
  "listEvents",
  "listEventTypes",
  "listDeliveries",
  "getDelivery",
  "pollDeliveries",
  "resendDelivery",
  "replayEvent",
  "pingEndpoint",
  "testEndpoint",
  "rotateSecret",
  "pauseEndpoint",
  "activateEndpoint",
  "syncEndpoints",
  "updateTodo",
  "deleteTodo",
  "resendDeliveries",
  "summarizeEvents",
  "deleteEndpoint",
  "health",
  "root",
];
const ARRIVED = ["getEvent", "resendDelivery", "replayEvent", "summarizeEvents"];
const UNTESTED = ["createPortalLink", "rebuild"];

const operations = new Map(
  Object.entries(buildDocument().paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => {
      const whole = operation as unknown as Operation;
      return [whole.operationId, { method, path, operation: whole }] as const;
    }),
  ),
);

// These differ each time, so only their types are compared.
const VOLATILE =
  /^(Endpoint ID|secret|event_id|endpoint_id|idempotency_key|sequence|attempts|resends|resent|at|took_ms|response|request_headers|response_headers|.*_at)$/;

function comparable(value: unknown, key = ""): unknown {
  if (VOLATILE.test(key) || (key === "id" && typeof value === "string")) return typeof value;
  if (Array.isArray(value)) return value.slice(0, 1).map((one) => comparable(one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, comparable(v, k)]));
}

function queryOf(name: string, endpoint: string): string {
  if (name === "createTodo") return `?endpoint=${endpoint}`;
  return name === "pollDeliveries" ? "?after=0" : "";
}

it("answers every example request with the example answer", async () => {
  expect([...ORDER, ...UNTESTED].sort()).toEqual([...operations.keys()].sort());
  const env = newEnv();
  const known = { todo: "1", endpoint: "", event: "", delivery: "" };
  for (const name of ORDER) {
    const { method, path, operation } = operations.get(name)!;
    // The examples are of a delivery that has arrived.
    if (ARRIVED.includes(name)) await walked(env);
    const [, noun = ""] = path.split("/");
    const id = noun in known ? known[noun as keyof typeof known] : "";
    const query = queryOf(name, known.endpoint);
    const at = path.replace("{id}", id) + query;
    const sent = operation.requestBody?.content["application/json"].example;
    const reply = await call(env, method.toUpperCase(), at, sent);
    expect([name, Math.floor(reply.status / 100)]).toEqual([name, 2]);
    const answer = operation.responses[reply.status];
    const example = answer?.content?.["application/json"].example;
    // One of all types is enough of an example.
    if (name === "listEventTypes") {
      reply.body.data = reply.body.data.filter((one: { type: string }) => one.type === "created");
    }
    expect.soft([name, comparable(reply.body)]).toEqual([name, comparable(example)]);
    if (name === "createEndpoint") known.endpoint = reply.body["Endpoint ID"];
    if (name === "createTodo") {
      known.event = reply.headers.get("X-Event-Id")!;
      known.delivery = `${known.event}.${known.endpoint}`;
    }
  }
});
