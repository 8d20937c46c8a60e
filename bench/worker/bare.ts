/**
 * What the platform costs: the same KV and D1 work per route as the product, without framework, checks
 * and webhooks. The commit is the product's own, so both send D1 the same transaction.
 */

import { commit } from "../../src/outbox/commit.ts";
import { todo as resource } from "../../src/todo/resource.ts";
import type { Todo } from "../../src/todo/schema.ts";

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
    ...{ resource, resourceId: String(patch.id), change: "create", type: "created", guard: null },
    patch,
    endpointId: null,
    known: await env.KV.get(key),
    now: Date.now(),
  });
  if (result.kind !== "committed") return new Response(null, { status: 409 });
  const { seq, data } = result.written.event;
  const todo = String(data);
  await env.KV.put(key, todo, { metadata: { seq, todo: JSON.parse(todo) } });
  return new Response(todo, { ...JSON_TYPE, status: 201 });
}

function keyOf(id: string): string {
  return PREFIX + id.padStart(16, "0");
}
