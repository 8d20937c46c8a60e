/** The typed client: what must compile, and what must not. Checked by tsc in `npm run check`; never run. */
import { hc } from "hono/client";
import type { Endpoint, Todo } from "../../src/answers.ts";
import type { AppType } from "../../src/app.ts";

const client = hc<AppType>("http://127.0.0.1:8080");

/** Valid calls, and an answer narrowed by its status. */
export async function right(): Promise<Todo | Endpoint | null> {
  const made = await client.todo.$post({ json: { item: "x" }, query: { endpoint: "e" } });
  if (made.status === 201) return (await made.json()).todo;
  await client.todo[":id"].$put({ param: { id: "1" }, query: {}, json: { completed: true } });
  await client.endpoint[":id"].ping.$post({ param: { id: "e" } });
  const page = await client.event.$get({ query: { state: "dead" } });
  const [first] = (await page.json()).data;
  if (first) return first.todo;
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
  // @ts-expect-error: no such state
  await client.event.$get({ query: { state: "lost" } });
  // @ts-expect-error: no such route
  await client.todos.$get();
  const answer = await client.todo[":id"].$get({ param: { id: "1" }, query: {} });
  // @ts-expect-error: no such field in the answer
  (await answer.json()).priority;
}
