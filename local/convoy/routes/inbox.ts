// /inbox: how people and tests use the local Convoy itself; faults never affect it.
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import * as z from "zod/mini";
import { MAX_BODY_BYTES, TOO_LARGE } from "../api.ts";
import type { Context } from "../context.ts";
import type { Engine } from "../engine.ts";
import { readFaults } from "../faults.ts";
import { deliveryDetail, inboxDelivery, listDeliveries, listEvents } from "../inbox.ts";
import { findDelivery } from "../store/deliveries.ts";
import { changeEndpoint, findEndpoint, restoreEndpoint } from "../store/endpoints.ts";
import { inboxStream } from "../stream.ts";

/** Rows of an answer without `limit`, and the rows the page shows. */
const DEFAULT_LIMIT = 500;
/** Most rows of one answer: bounds memory, and is enough for every test here. */
const MAX_LIMIT = 10_000;

function limitOf(query: URLSearchParams): number {
  const asked = Number.parseInt(query.get("limit") ?? "", 10);
  return asked > 0 ? Math.min(asked, MAX_LIMIT) : DEFAULT_LIMIT;
}

const jsonOf = (request: Request): Promise<unknown> => request.json().catch(() => undefined);

const EndpointChange = z.object({
  status: z.optional(z.enum(["active", "paused", "inactive"])),
  authentication: z.optional(z.unknown()),
  mtls_client_cert: z.optional(z.unknown()),
});

export function inboxRoutes(context: Context, engine: Engine): Hono {
  const routes = new Hono();
  routes.use(
    bodyLimit({
      maxSize: MAX_BODY_BYTES,
      onError: (c) => c.json({ error: TOO_LARGE }, 413, { Connection: "close" }),
    }),
  );

  routes.get("/deliveries", (c) => {
    const query = new URL(c.req.url).searchParams;
    return c.json({ data: listDeliveries(context, limitOf(query), query) });
  });
  routes.delete("/deliveries", (c) => {
    const cleared = context.db.run("UPDATE delivery SET hidden = 1 WHERE hidden = 0");
    context.db.run("UPDATE event SET hidden = 1 WHERE hidden = 0");
    context.publish({ kind: "cleared" });
    return c.json({ cleared });
  });

  routes.get("/deliveries/:id", (c) => {
    const row = findDelivery(context, c.req.param("id"));
    return row ? c.json(deliveryDetail(context, row)) : c.json({ error: "no such delivery" }, 404);
  });
  routes.post("/deliveries/:id/replay", (c) => {
    const row = findDelivery(context, c.req.param("id"));
    if (!row) return c.json({ error: "no such delivery" }, 404);
    if (!engine.requeue(row.uid))
      return c.json({ error: "it is already on its way; try again when it has arrived" }, 409);
    return c.json(inboxDelivery({ ...row, status: "Scheduled" }), 202);
  });

  routes.get("/events", (c) =>
    c.json({ data: listEvents(context, limitOf(new URL(c.req.url).searchParams)) }),
  );

  routes.get("/faults", (c) => c.json(context.faults.get()));
  routes.put("/faults", async (c) => {
    const read = readFaults(await jsonOf(c.req.raw));
    if ("problem" in read) return c.json({ error: read.problem }, 400);
    // Done first, so that nothing leaves the queue between the old faults and the new ones.
    if (read.faults.redis_lost) engine.lose();
    context.faults.set(read.faults);
    return c.json(read.faults);
  });

  // For tests: what takes hours (an endpoint whose receiver keeps failing) or a licence (its credentials).
  routes.put("/endpoints/:id", async (c) => {
    const read = EndpointChange.safeParse((await jsonOf(c.req.raw)) ?? {});
    const uid = c.req.param("id");
    if (!read.success) return c.json({ error: "status: must be active, paused or inactive" }, 400);
    if (!findEndpoint(context, uid)) return c.json({ error: "no such endpoint" }, 404);
    const { status, authentication, mtls_client_cert: cert } = read.data;
    changeEndpoint(context, uid, {
      ...(status ? { status } : {}),
      ...(authentication ? { authentication: JSON.stringify(authentication) } : {}),
      ...(cert ? { mtls_client_cert: JSON.stringify(cert) } : {}),
    });
    // In the real Convoy the agent itself does this, so it knows.
    context.agent.endpoints.delete(uid);
    return c.json({ status: findEndpoint(context, uid)?.status });
  });

  // For tests: what a Convoy restored from a backup brings back.
  routes.post("/endpoints/:id/restore", (c) => {
    const restored = restoreEndpoint(context, c.req.param("id"));
    return restored ? c.json({ restored }) : c.json({ error: "no such deleted endpoint" }, 404);
  });

  routes.post("/reset", (c) => {
    engine.forget();
    context.db.empty();
    context.agent.endpoints.clear();
    context.agent.subscriptions.clear();
    context.faults.set({});
    context.publish({ kind: "cleared" });
    return c.json({ reset: true });
  });

  routes.get("/settings", (c) => {
    const newest = context.db.get<{ uid: string }>(
      "SELECT uid FROM endpoint WHERE deleted_at IS NULL ORDER BY uid DESC LIMIT 1",
    );
    return c.json({ worker_url: context.options.workerUrl, endpoint_id: newest?.uid ?? null });
  });
  routes.get("/stream", (c) => inboxStream(c, context));
  routes.all("/*", (c) => c.json({ error: `nothing at ${c.req.method} ${c.req.path}` }, 404));
  return routes;
}
