/** /endpoint: HTTP in, HTTP out. */
import type { Context } from "hono";
import { v7 as uuidv7 } from "uuid";
import { convoyOf } from "../convoy/client.ts";
import { problem } from "../errors.ts";
import { type AppEnv, newApp } from "../http.ts";
import { metered, meterOf } from "../meter.ts";
import { commitPing, commitTest } from "../outbox/ping.ts";
import { finish } from "../outbox/publish.ts";
import { eventTypesOf } from "../outbox/resource.ts";
import { whose } from "../outbox/whose.ts";
import type { Written } from "../outbox/write.ts";
import { onePage, PAGE_DEFAULT } from "../schema.ts";
import { settingsOf } from "../settings.ts";
import { validBody, validOptionalBody, validPath, validQuery } from "../validate.ts";
import { changeEndpoint, rotateSecret, tryNow } from "./change.ts";
import { createEndpoint, newSecret } from "./create.ts";
import { notFound, refuseTypes, refuseUrl } from "./problems.ts";
import {
  authenticationOf,
  EndpointListQuery,
  EndpointPatch,
  EndpointPath,
  NewEndpoint,
  NewTest,
  newWanted,
  ROTATION_OVERLAP_H,
  Rotation,
  SyncQuery,
  toEndpoint,
  toOwnedEndpoint,
  wantedOf,
} from "./schema.ts";
import { sync } from "./sync.ts";
import { findEndpoint, listEndpoints, removeEndpoint, type WithHeld, want } from "./table.ts";

// Subrequests that one sync may use: the free plan's 50, less a few.
const SYNC_BUDGET = 40;

/** Routes under /endpoint. */
export const endpoint = newApp()
  .get("/", validQuery(EndpointListQuery), async (c) => {
    const { owner: asked, failing, limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    const owner = whose(c, asked);
    const wanted = { isFailing: failing === "true", limit: limit + 1, after: cursor };
    const rows = await listEndpoints(c.env.DB, owner, wanted);
    const after = ({ id }: WithHeld) => id;
    if (owner === null) return c.json(onePage(rows, limit, toOwnedEndpoint, after), 200);
    return c.json(onePage(rows, limit, toEndpoint, after), 200);
  })
  .get("/:id", validPath(EndpointPath), async (c) => {
    return c.json(toEndpoint(await own(c)), 200);
  })
  .post("/", validBody(NewEndpoint), async (c) => {
    const body = c.req.valid("json");
    refuseUrl(c, body.url);
    refuseTypes(typesOf(c), body.event_types);
    const { secret = newSecret(), headers } = body;
    const secrets = { secret, authentication: authenticationOf(headers) ?? undefined };
    const { endpointsMax: max } = settingsOf(c.env);
    const wanted = { ...newWanted(body), owner: c.get("owner") };
    const row = await createEndpoint(workOf(c), wanted, secrets, max);
    c.header("Location", `/endpoint/${row.id}`);
    return c.json({ "Endpoint ID": row.id, endpoint: toEndpoint(row), secret }, 201);
  })
  .put("/:id", validPath(EndpointPath), validBody(EndpointPatch), async (c) => {
    const body = c.req.valid("json");
    if (body.url !== undefined) refuseUrl(c, body.url);
    refuseTypes(typesOf(c), body.event_types);
    const extra = { authentication: authenticationOf(body.headers) };
    const { row, isDone } = await changeEndpoint(workOf(c), named(c), wantedOf(body), extra);
    return c.json(toEndpoint(row), isDone ? 200 : 202);
  })
  .delete("/:id", validPath(EndpointPath), async (c) => {
    const one = named(c);
    if (!(await removeEndpoint(c.env.DB, one))) throw notFound();
    c.executionCtx.waitUntil(tryNow(workOf(c), one.id));
    return c.json({ data: "Endpoint ID has been removed." as const }, 200);
  })
  .post("/:id/pause", validPath(EndpointPath), async (c) => {
    // Here, at once: Convoy is not asked.
    const { row } = await want(c.env.DB, named(c), { wanted: "paused", lift: 0 });
    if (!row) throw notFound();
    return c.json(toEndpoint(row), 200);
  })
  .post("/:id/activate", validPath(EndpointPath), async (c) => {
    const before = await own(c);
    if (before.there === "active") {
      const { row } = await want(c.env.DB, before, { wanted: "active" });
      if (!row) throw notFound();
      return c.json(toEndpoint(row), 200);
    }
    const to = { wanted: "active", lift: 1 } as const;
    const { row, isDone } = await changeEndpoint(workOf(c), before, to);
    return c.json(toEndpoint(row), isDone ? 200 : 202);
  })
  .post("/:id/ping", validPath(EndpointPath), async (c) => {
    const request = await requested(c);
    publishLater(c, await commitPing(c.env.DB, request), request);
    return c.json({ data: "Ping queued" as const, event_id: request.id }, 202);
  })
  .post("/:id/test", validPath(EndpointPath), validBody(NewTest), async (c) => {
    const { type } = c.req.valid("json");
    refuseTypes(typesOf(c), [type], "type");
    const request = await requested(c);
    const { resources } = c.get("outbox");
    publishLater(c, await commitTest(c.env.DB, resources, { ...request, type }), request);
    return c.json({ data: "Test queued" as const, event_id: request.id }, 202);
  })
  .post("/:id/rotate-secret", validPath(EndpointPath), validOptionalBody(Rotation), async (c) => {
    const { secret = newSecret(), overlap_hours = ROTATION_OVERLAP_H } = c.req.valid("json");
    const wanted = { secret, overlapHours: overlap_hours };
    const row = await rotateSecret(workOf(c), await own(c), wanted);
    return c.json({ endpoint: toEndpoint(row), secret, overlap_hours }, 200);
  })
  .post("/sync", validQuery(SyncQuery), async (c) => {
    const budget = meterOf(SYNC_BUDGET);
    const env = metered(c.env, budget);
    const work = { db: env.DB, convoy: convoyOf(env) };
    const { cursor = null } = c.req.valid("query");
    return c.json(await sync(work, c.get("owner"), budget, cursor), 200);
  });

// The types of a route's context differ in what was validated; these helpers need only its bindings.
// biome-ignore lint/suspicious/noExplicitAny: Hono's input type is invariant
type AnyContext = Context<AppEnv, any, any>;

function workOf({ env }: AnyContext) {
  return { db: env.DB, convoy: convoyOf(env) };
}

/** The names of all event types of this service. */
function typesOf(c: AnyContext): string[] {
  return eventTypesOf(c.get("outbox").resources).map(({ type }) => type);
}

/** What the path names; whether it is there is not known. */
function named(c: AnyContext) {
  return { owner: c.get("owner"), id: c.req.param("id") ?? "" };
}

/** The caller's endpoint of the path; throws a 404 if it has none with this id. */
async function own(c: AnyContext): Promise<WithHeld> {
  const { owner, id } = named(c);
  const row = await findEndpoint(c.env.DB, owner, id);
  if (!row) throw notFound();
  return row;
}

/** An event that is requested for the caller's endpoint of the path. */
async function requested(c: AnyContext) {
  const { owner, id: endpointId } = await own(c);
  const now = Date.now();
  return { id: uuidv7({ msecs: now }), owner, endpointId, now };
}

/** Publishes a ping or a test in waitUntil; 409 if there is none, because the endpoint is not active. */
function publishLater(
  c: AnyContext,
  written: Written | null,
  { id, now }: { id: string; now: number },
): void {
  if (!written) {
    throw problem(409, "The endpoint is not active: it gets nothing now. Activate it first.");
  }
  const { event, deliveries } = written;
  c.header("X-Event-Id", id);
  c.executionCtx.waitUntil(finish(c.env, c.get("outbox"), { event, deliveries, put: null, now }));
}
