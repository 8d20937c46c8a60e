/** What a noun's routes do: read, list and change. Each publishes its event in waitUntil. */
import type { Context } from "hono";
import { v7 as uuidv7 } from "uuid";
import { problem, unavailable } from "../errors.ts";
import type { AppEnv } from "../http.ts";
import { logError } from "../run.ts";
import { type CommitResult, commit } from "./commit.ts";
import { finish, publishRead } from "./publish.ts";
import { type AnyResource, type Guard, type ResourceOf, VERB_OF } from "./resource.ts";
import type { Change, EventRow } from "./rows.ts";
import { listValues, readValue, writeValue } from "./store.ts";
import { LEASE_MS } from "./write.ts";

// The types of a route's context differ in what was validated; the verbs need only its bindings.
// biome-ignore lint/suspicious/noExplicitAny: Hono's input type is invariant
type AnyContext = Context<AppEnv, any, any>;

/** The JSON of a value, or null: from KV, at most a minute old. */
export async function read(
  c: AnyContext,
  resource: AnyResource,
  id: string | number,
): Promise<string | null> {
  const found = await readValue(c.env.KV, resource, c.get("owner"), String(id));
  publishLater(c, resource, { verb: found === null ? "failed" : "retrieved", id, data: found });
  return found;
}

/** One page of the owner's values, in id order. @throws BadCursor */
export async function list<Value>(
  c: AnyContext,
  resource: ResourceOf<Value>,
  page: { limit: number; cursor?: string | undefined },
): Promise<{ data: Value[]; cursor?: string }> {
  const listed = await listValues<Value>(c.env.KV, resource, c.get("owner"), page);
  publishLater(c, resource, { verb: "retrieved", id: null, data: null });
  return listed;
}

/** A read's event goes to the endpoint that the caller named; without one it sends nothing. */
function publishLater(
  c: AnyContext,
  resource: AnyResource,
  what: { verb: "retrieved" | "failed"; id: string | number | null; data: string | null },
): void {
  const endpointId = c.req.query("endpoint");
  if (!endpointId) return;
  const now = Date.now();
  const content = {
    id: uuidv7({ msecs: now }),
    type: resource.verbs[what.verb].type,
    occurred_at: now,
    resource: resource.name,
    resource_id: what.id === null ? null : String(what.id),
    data: what.data,
    test: 0 as const,
  };
  const owner = c.get("owner");
  c.executionCtx.waitUntil(publishRead(c.env, c.get("outbox"), { owner, endpointId, content }));
}

/**
 * A change that a caller requests. `patch`: the new value, or RFC 7396 for an update. `type`: one that the resource
 * declares for this change, by default the verb's. `fresh`: the id is newly made, so KV need not be read.
 */
export type ChangeRequest<Further extends string = string> = {
  change: Change;
  id: string | number;
  patch?: object;
  type?: Further;
  guard?: Guard;
  fresh?: boolean;
};

/**
 * Commits the change and puts it into KV; waitUntil does the rest. Once committed it is a success, whatever KV says.
 * Sets X-Event-Id.
 * @returns the value after it; null after a delete
 * @throws Problem if it was refused; StorageError if nothing has changed: KV cannot be read, D1 refused
 */
export async function change<Value, Further extends string>(
  c: AnyContext,
  resource: ResourceOf<Value, Further>,
  request: ChangeRequest<NoInfer<Further>>,
): Promise<{ eventId: string; data: Value | null }> {
  const owner = c.get("owner");
  const resourceId = String(request.id);
  const { change: kind, patch = {}, guard = null, fresh = false } = request;
  const type = request.type ?? resource.verbs[VERB_OF[kind]].type;
  if (resource.types.get(type)?.change !== kind) {
    throw new Error(
      `${resource.name} declares no type ${type} for a change of this kind: ${kind}.`,
    );
  }
  const known = fresh ? null : await readValue(c.env.KV, resource, owner, resourceId);
  const now = Date.now();
  const id = uuidv7({ msecs: now });
  const endpointId = c.req.query("endpoint") ?? null;
  const what = { id, owner, resource, resourceId, change: kind, type, patch, guard };
  const result = await commit(c.env.DB, { ...what, endpointId, known, now });
  if (result.kind !== "committed") throw refusal(c, resource, request, { id, result });
  const { event, deliveries } = result.written;
  const put = await putOrNull(c.env.KV, resource, event, now);
  c.executionCtx.waitUntil(finish(c.env, c.get("outbox"), { event, deliveries, put, now }));
  c.header("X-Event-Id", id);
  return { eventId: id, data: event.data === null ? null : (JSON.parse(event.data) as Value) };
}

/** The version that was put into KV; null if it was not, and the cron or a later check has to. */
async function putOrNull(
  kv: KVNamespace,
  resource: AnyResource,
  event: EventRow,
  committedAt: number,
): Promise<number | null> {
  // The commit took longer than its lease, or another worker has the row by now: its put would be overwritten.
  if (event.due_at !== committedAt + LEASE_MS || Date.now() >= event.due_at) return null;
  try {
    await writeValue(kv, resource, event.owner, event.resource_id ?? "", event);
    return event.seq;
  } catch (error) {
    logError({ resource: resource.name, id: event.resource_id }, error);
    return null;
  }
}

/** The error to throw for a change that was not committed. */
function refusal(
  c: AnyContext,
  { label, name }: AnyResource,
  { id, guard }: ChangeRequest,
  { id: eventId, result }: { id: string; result: Exclude<CommitResult, { kind: "committed" }> },
): Error {
  switch (result.kind) {
    case "endpoint not found":
      return problem(404, "Endpoint not found");
    case "exists": {
      const path = `/${name}/${id}`;
      return problem(409, `${label} with id ${id} already exists. Use PUT ${path} to change it.`);
    }
    case "guarded":
      return problem(409, guard?.error ?? "This change is not allowed.");
    case "not found": {
      const { failed } = result;
      if (failed) {
        const work = { ...failed, put: null, now: failed.event.occurred_at };
        c.executionCtx.waitUntil(finish(c.env, c.get("outbox"), work));
      }
      const headers: Record<string, string> = failed ? { "X-Event-Id": eventId } : {};
      const data = `${label} with id ${id} not found.`;
      return problem(404, `${label} not found`, { data, headers });
    }
    case "busy":
      return unavailable(`The ${name} is being changed by other requests. Try again.`);
    case "uncertain":
      return problem(
        503,
        `The database did not answer: the change may have been made. GET /event/${eventId} shows whether it was, once the database answers.`,
        { headers: { "X-Event-Id": eventId } },
      );
  }
}
