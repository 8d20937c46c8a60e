/** /endpoint: HTTP in, HTTP out. */
import { createMiddleware } from "hono/factory";
import { v7 as uuidv7 } from "uuid";
import { DELIVERY_PAGE_DEFAULT, PAGE_DEFAULT, SYNC_BUDGET } from "../config.ts";
import { convoyOf, type Failure, mendableReason, shownReason } from "../convoy/client.ts";
import { getDelivery, listAttempts, listDeliveries } from "../convoy/deliveries.ts";
import { type Problem, problem, unavailable } from "../errors.ts";
import { commitPing } from "../event/commit.ts";
import { finish } from "../event/publish.ts";
import { type AppEnv, newApp } from "../http.ts";
import { budgetOf } from "../run.ts";
import { onePage, PageQuery } from "../schema.ts";
import { type Bindings, settingsOf } from "../settings.ts";
import { validBody, validOptionalBody, validPath, validQuery } from "../validate.ts";
import { createEndpoint, deleteEndpoint } from "./create.ts";
import { setPaused } from "./pause.ts";
import {
  DeliveryListQuery,
  DeliveryPath,
  EndpointPatch,
  EndpointPath,
  NewEndpoint,
  Rotation,
  SyncQuery,
  toAttempt,
  toDelivery,
  toEndpoint,
} from "./schema.ts";
import { sync } from "./sync.ts";
import { type EndpointRow, findEndpoint, listEndpoints } from "./table.ts";
import { changeEndpoint, type Result, rotateSecret, type Trouble } from "./update.ts";
import { ownProblem, privateProblem } from "./url.ts";

/** Puts the caller's endpoint from the path into the context; 404 if the caller has none with this id. */
const own = createMiddleware<AppEnv & { Variables: { endpoint: EndpointRow } }>(async (c, next) => {
  const row = await findEndpoint(c.env.DB, c.get("owner"), c.req.param("id") ?? "");
  if (!row) throw notFound();
  c.set("endpoint", row);
  await next();
});

/** Routes under /endpoint. */
export const endpoint = newApp()
  .get("/", validQuery(PageQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    const rows = await listEndpoints(c.env.DB, c.get("owner"), { limit: limit + 1, after: cursor });
    return c.json(
      onePage(rows, limit, toEndpoint, (row) => row.id),
      200,
    );
  })
  .get("/:id", validPath(EndpointPath), own, (c) => c.json(toEndpoint(c.get("endpoint")), 200))
  .post("/", validBody(NewEndpoint), async (c) => {
    const wanted = c.req.valid("json");
    const { endpointsMax: max } = checkUrl(c, wanted.url);
    const convoy = convoyOf(c.env);
    const made = await createEndpoint(c.env.DB, convoy, c.get("owner"), wanted, max);
    const { row, secret } = valueOrThrow(made);
    c.header("Location", `/endpoint/${row.id}`);
    return c.json({ "Endpoint ID": row.id, endpoint: toEndpoint(row), secret }, 201);
  })
  .put("/:id", validPath(EndpointPath), validBody(EndpointPatch), own, async (c) => {
    const patch = c.req.valid("json");
    checkUrl(c, patch.url);
    const row = c.get("endpoint");
    const changed = await changeEndpoint(c.env.DB, convoyOf(c.env), row, patch);
    return c.json(toEndpoint(valueOrThrow(changed)), 200);
  })
  .delete("/:id", validPath(EndpointPath), own, async (c) => {
    valueOrThrow(await deleteEndpoint(c.env.DB, convoyOf(c.env), c.get("endpoint")));
    return c.json({ data: "Endpoint ID has been removed." }, 200);
  })
  .post("/:id/ping", validPath(EndpointPath), async (c) => {
    const { id } = c.req.valid("param");
    const now = Date.now();
    const owner = c.get("owner");
    const eventId = uuidv7({ msecs: now });
    const row = await commitPing(c.env.DB, { id: eventId, owner, endpointId: id, now });
    if (!row) throw notFound();
    c.executionCtx.waitUntil(finish(c.env, { row, put: null }));
    c.header("X-Event-Id", eventId);
    return c.json({ data: "Ping queued", event_id: eventId }, 202);
  })
  .post("/sync", validQuery(SyncQuery), async (c) => {
    const { cursor } = c.req.valid("query");
    const budget = budgetOf(SYNC_BUDGET, Number.POSITIVE_INFINITY);
    const options = { cursor, budget };
    return c.json(await sync(c.env.DB, convoyOf(c.env), c.get("owner"), options), 200);
  })
  .post("/:id/pause", validPath(EndpointPath), own, async (c) => {
    const paused = await setPaused(c.env.DB, convoyOf(c.env), c.get("endpoint"), true);
    return c.json(toEndpoint(valueOrThrow(paused)), 200);
  })
  .post("/:id/activate", validPath(EndpointPath), own, async (c) => {
    const activated = await setPaused(c.env.DB, convoyOf(c.env), c.get("endpoint"), false);
    return c.json(toEndpoint(valueOrThrow(activated)), 200);
  })
  .post(
    "/:id/rotate-secret",
    validPath(EndpointPath),
    validOptionalBody(Rotation),
    own,
    async (c) => {
      const wanted = c.req.valid("json");
      const rotated = await rotateSecret(c.env.DB, convoyOf(c.env), c.get("endpoint"), wanted);
      const { row, secret, overlapHours } = valueOrThrow(rotated);
      return c.json({ endpoint: toEndpoint(row), secret, overlap_hours: overlapHours }, 200);
    },
  )
  .get("/:id/delivery", validPath(EndpointPath), validQuery(DeliveryListQuery), own, async (c) => {
    const { limit = DELIVERY_PAGE_DEFAULT, cursor } = c.req.valid("query");
    const page = { endpointId: c.get("endpoint").id, perPage: limit, cursor };
    const answer = await listDeliveries(convoyOf(c.env), page);
    if (!answer.ok) throw refusal(answer);
    const { items, next } = answer.data;
    return c.json({ data: items.map(toDelivery), ...(next ? { cursor: next } : {}) }, 200);
  })
  .get("/:id/delivery/:delivery", validPath(DeliveryPath), own, async (c) => {
    const { id, delivery } = c.req.valid("param");
    const convoy = convoyOf(c.env);
    const found = await getDelivery(convoy, delivery);
    if (!found.ok && found.status !== 404) throw refusal(found);
    // The caller must not even learn that another endpoint's delivery exists.
    if (!found.ok || found.data.endpoint_id !== id) throw problem(404, "Delivery not found");
    const attempts = await listAttempts(convoy, delivery);
    if (!attempts.ok) throw refusal(attempts);
    const made = (attempts.data ?? []).map(toAttempt);
    return c.json({ ...toDelivery(found.data), attempts_made: made }, 200);
  });

function notFound() {
  return problem(404, "Endpoint not found");
}

/** The settings; 400 for a URL that leads to this Worker, or to a private address if they allow none. */
function checkUrl({ env, req }: { env: Bindings; req: { url: string } }, url: string | undefined) {
  const settings = settingsOf(env);
  if (url === undefined) return settings;
  const message =
    ownProblem(url, req.url) ?? (settings.privateAddresses ? undefined : privateProblem(url));
  if (message === undefined) return settings;
  throw problem(400, `Bad body. url: ${message}`, { details: [{ path: "url", message }] });
}

function valueOrThrow<T>(result: Result<T>): T {
  if (!result.ok) throw problemOf(result.trouble);
  return result.value;
}

function problemOf(trouble: Trouble): Problem {
  switch (trouble.kind) {
    case "removed":
      return notFound();
    case "busy":
      return problem(
        409,
        `The endpoint is being changed (it is ${trouble.row.status}). Try again shortly.`,
      );
    case "gone":
      return problem(
        409,
        "Convoy does not have this endpoint any more (it is missing): it was removed there, or CONVOY_PROJECT_ID or CONVOY_API_KEY is another project's. Remove it here too, or try again once Convoy has it.",
      );
    case "full":
      return problem(
        409,
        `You have ${trouble.max} endpoints already, the most that an owner may have. Remove one first.`,
      );
    case "another project":
      return unavailable("CONVOY_API_KEY belongs to another project, not to CONVOY_PROJECT_ID.");
    case "too slow":
      return unavailable("Creating the endpoint took too long. Try again.");
    case "refused":
      return refusal(trouble.failure);
  }
}

/**
 * The error to throw for a failed call to Convoy: 400 if the caller can fix it, 503 if waiting helps,
 * 502 if only the operator can.
 */
export function refusal(answer: Failure): Problem {
  const reason = mendableReason(answer);
  if (reason) return problem(400, `Convoy refused the endpoint: ${reason}.`);
  const shown = shownReason(answer);
  if (answer.status === null || answer.status === 429 || answer.status >= 500) {
    const retryS = Math.ceil((answer.retryAfterMs ?? 5_000) / 1_000);
    return unavailable(`${shown}. Try again.`, { "Retry-After": String(retryS) });
  }
  const hint = answer.status === 401 || answer.status === 403 ? ": check CONVOY_API_KEY" : "";
  return problem(502, `${shown}${hint}. The operator of this API has to look at it.`);
}
