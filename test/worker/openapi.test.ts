/** The examples in the API document hold: its requests, made in order, get its answers. */
import { expect, it } from "vitest";
import { buildDocument } from "../../openapi/document.ts";
import { confirm } from "../support/events.ts";
import { call, cron, newEnv } from "../support/worker.ts";

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
  "replayEvent",
  "listDeliveries",
  "getDelivery",
  "pingEndpoint",
  "rotateSecret",
  "pauseEndpoint",
  "activateEndpoint",
  "syncEndpoints",
  "updateTodo",
  "deleteTodo",
  "replayDeadEvents",
  "summarizeEvents",
  "deleteEndpoint",
  "health",
  "root",
];
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
  /^(Endpoint ID|secret|event_id|endpoint_id|idempotency_key|sequence|attempts|state|response|http_status|.*_at)$/;

function comparable(value: unknown, key = ""): unknown {
  if (VOLATILE.test(key) || (key === "id" && typeof value === "string")) return typeof value;
  if (Array.isArray(value)) return value.slice(0, 1).map((one) => comparable(one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, comparable(v, k)]));
}

it("answers every example request with the example answer", async () => {
  expect([...ORDER, ...UNTESTED].sort()).toEqual([...operations.keys()].sort());
  const env = newEnv();
  const known = { endpoint: "", event: "", delivery: "" };
  for (const name of ORDER) {
    const { method, path, operation } = operations.get(name)!;
    // Only what has arrived can be sent again.
    if (name === "replayEvent") await confirm(env);
    const id = path.startsWith("/todo")
      ? "1"
      : path.startsWith("/event")
        ? known.event
        : known.endpoint;
    const query = name === "createTodo" ? `?endpoint=${known.endpoint}` : "";
    const at = path.replace("{id}", id).replace("{delivery}", known.delivery) + query;
    const sent = operation.requestBody?.content["application/json"].example;
    const reply = await call(env, method.toUpperCase(), at, sent);
    const [status, answer] = Object.entries(operation.responses).find(([s]) => s.startsWith("2"))!;
    expect([name, reply.status]).toEqual([name, Number(status)]);
    const example = answer.content?.["application/json"].example;
    expect([name, comparable(reply.body)]).toEqual([name, comparable(example)]);
    if (name === "createEndpoint") known.endpoint = reply.body["Endpoint ID"];
    if (name === "createTodo") known.event = reply.headers.get("X-Event-Id")!;
    if (name === "listDeliveries") known.delivery = reply.body.data[0].id;
    if (name === "replayEvent") await cron(env);
  }
});
