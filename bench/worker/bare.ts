/**
 * What the platform costs: the same KV and D1 work per route as the product, without framework, checks
 * and events. The commit is the product's own, so both send D1 the same statement.
 */

import type { Todo } from "../../src/answers.ts";
import { commit } from "../../src/event/commit.ts";

type Env = { KV: KVNamespace; DB: D1Database };

const OWNER = "default";
const PREFIX = "todo:ZGVmYXVsdA==:";
const JSON_TYPE = { headers: { "Content-Type": "application/json" } };

export default {
  async fetch(request, env) {
    const path = request.url.slice(request.url.indexOf("/", 8));
    if (request.method === "POST") return add(await request.json<Todo>(), env);
    if (path === "/todo") return list(env);
    const todo = await env.KV.get(keyOf(path.slice("/todo/".length)));
    return todo === null ? new Response(null, { status: 404 }) : new Response(todo, JSON_TYPE);
  },
} satisfies ExportedHandler<Env>;

async function list(env: Env): Promise<Response> {
  const { keys } = await env.KV.list<{ todo: Todo }>({ prefix: PREFIX, limit: 1_000 });
  return Response.json({ data: keys.map((key) => key.metadata?.todo) });
}

async function add(patch: Todo, env: Env): Promise<Response> {
  const key = keyOf(String(patch.id));
  const result = await commit(env.DB, {
    id: crypto.randomUUID(),
    owner: OWNER,
    type: "created",
    todoId: patch.id,
    patch,
    endpointId: null,
    known: await env.KV.get(key),
    now: Date.now(),
  });
  if (result.kind !== "committed") return new Response(null, { status: 409 });
  const { seq } = result.row;
  const todo = String(result.row.todo);
  await env.KV.put(key, todo, { metadata: { seq, todo: JSON.parse(todo) } });
  return new Response(todo, { ...JSON_TYPE, status: 201 });
}

function keyOf(id: string): string {
  return PREFIX + id.padStart(16, "0");
}
