/** The typed client: what must compile, and what must not. Checked by tsc in `npm run check`; never run. */
import { hc } from "hono/client";
import type { AppType } from "../../src/app.ts";
import type { Endpoint } from "../../src/endpoint/answers.ts";
import type { LoggedEvent } from "../../src/outbox/answers.ts";
import type { Todo } from "../../src/todo/schema.ts";

const client = hc<AppType>("http://127.0.0.1:8080");

/** Valid calls, and an answer narrowed by its status. */
export async function right(): Promise<Todo | Endpoint | LoggedEvent["data"] | string[]> {
  const made = await client.todo.$post({ json: { item: "x" }, query: { endpoint: "e" } });
  if (made.status === 201) return (await made.json()).todo;
  await client.todo[":id"].$put({ param: { id: "1" }, query: {}, json: { completed: true } });
  await client.endpoint[":id"].ping.$post({ param: { id: "e" } });
  const page = await client.event.$get({ query: { status: "dead" } });
  const [first] = (await page.json()).data;
  if (first && "data" in first) return first.data;
  const found = await client.delivery[":id"].$get({ param: { id: "e" } });
  if (found.status === 200) return Object.keys((await found.json()).body);
  const url = "https://receiver.example/";
  const added = await client.endpoint.$post({ json: { name: "n", url, http_timeout: "10s" } });
  return (await added.json()).endpoint;
}

/** Invalid calls. */
export async function wrong(): Promise<void> {
  // @ts-expect-error: no such field
  await client.todo.$post({ json: { item: "x", priority: 1 }, query: {} });
  // @ts-expect-error: a field of the wrong type
  await client.todo.$post({ json: { item: 1 }, query: {} });
  // @ts-expect-error: a missing field
  await client.endpoint.$post({ json: { name: "n" } });
  // @ts-expect-error: no such status
  await client.event.$get({ query: { status: "lost" } });
  // @ts-expect-error: a delivery's id, not an endpoint's
  await client.endpoint[":id"].delivery.$get({ param: { id: "e" } });
  // @ts-expect-error: no such route
  await client.todos.$get();
  const answer = await client.todo[":id"].$get({ param: { id: "1" }, query: {} });
  // @ts-expect-error: no such field in the answer
  (await answer.json()).priority;
}
