// Uses the TypeScript client that openapi-generator makes: every kind of call, against a running Worker.
import assert from "node:assert/strict";
import {
  Configuration,
  DeliveriesApi,
  EndpointsApi,
  EventsApi,
  ResponseError,
  TodosApi,
} from "./client/index.js";

const configuration = new Configuration({
  basePath: process.env.URL ?? "",
  accessToken: process.env.TOKEN ?? "",
});
const [todos, endpoints] = [new TodosApi(configuration), new EndpointsApi(configuration)];
const largest = Number.MAX_SAFE_INTEGER;

const made = await endpoints.createEndpoint({
  createEndpointRequest: { name: "TypeScript", url: "https://receiver.example/hook" },
});
const { id } = made.endpoint;
const createTodoRequest = { id: largest, item: "Buy milk 🥛" };
const added = await todos.createTodo({ createTodoRequest, endpoint: id });
assert.equal(added.todo.id, largest);
await todos.createTodo({ createTodoRequest: { item: "Drink it" } });
await todos.updateTodo({ id: largest, updateTodoRequest: { completed: true } });
const got = await todos.getTodo({ id: largest });
assert.deepEqual([got.completed, got.item], [true, "Buy milk 🥛"]);
let found = 0;
let cursor: string | undefined;
do {
  const page = await todos.listTodos({ limit: 1, ...(cursor ? { cursor } : {}) });
  found += page.data.length;
  // A page may be empty and still have a cursor.
  cursor = page.cursor;
} while (cursor);
assert.equal(found, 2);
// The bodies of these are optional.
await endpoints.pingEndpoint({ id });
await endpoints.rotateSecret({ id });
await endpoints.createPortalLink();
assert.equal((await endpoints.pauseEndpoint({ id })).status, "paused");
assert.equal((await endpoints.activateEndpoint({ id })).status, "active");
assert.ok((await new EventsApi(configuration).listEvents()).data.length > 0);
const deliveries = new DeliveriesApi(configuration);
const [delivery] = (await deliveries.listDeliveries({ endpoint: id })).data;
assert.equal((await deliveries.getDelivery({ id: delivery?.id ?? "" })).endpointId, id);
await deliveries.resendDeliveries();
await todos.deleteTodo({ id: largest });
await assert.rejects(
  todos.getTodo({ id: largest }),
  (error) => error instanceof ResponseError && error.response.status === 404,
);
await endpoints.deleteEndpoint({ id });
