/** /endpoint: HTTP in, HTTP out. */
import { createMiddleware } from "hono/factory";
import { v7 as uuidv7 } from "uuid";
import {
  type Bindings,
  DELIVERY_PAGE_DEFAULT,
  endpointSettings,
  isPortalOn,
  PAGE_DEFAULT,
  PORTAL_LINK_DEFAULT_MIN,
  SYNC_BUDGET,
} from "../config.ts";
import { convoyOf, type Failure, mendableReason, shownReason } from "../convoy/client.ts";
import { getDelivery, listAttempts, listDeliveries } from "../convoy/deliveries.ts";
import { commitPing } from "../event/commit.ts";
import { finish } from "../event/publish.ts";
import {
  type AppEnv,
  newApp,
  type Problem,
  problem,
  requireJson,
  requireJsonIfAny,
  unavailable,
  valid,
} from "../http.ts";
import { budgetOf } from "../run.ts";
import { NewPortalLink, onePage, PageQuery } from "../schema.ts";
import { mintPortalToken } from "../token.ts";
import { createEndpoint, deleteEndpoint } from "./create.ts";
import { setPaused } from "./pause.ts";
import {
  DeliveryListQuery,
  DeliveryPath,
  EndpointPatch,
  EndpointPath,
  isPrivateUrl,
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

/** Puts the caller's endpoint from the path into the context; 404 if the caller has none with this id. */
const own = createMiddleware<AppEnv & { Variables: { endpoint: EndpointRow } }>(async (c, next) => {
  const row = await findEndpoint(c.env.DB, c.get("owner"), c.req.param("id") ?? "");
  if (!row) throw notFound();
  c.set("endpoint", row);
  await next();
});

/** Routes under /endpoint. */
export const endpoint = newApp()
  .get("/", valid("query", PageQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    const rows = await listEndpoints(c.env.DB, c.get("owner"), { limit: limit + 1, after: cursor });
    return c.json(
      onePage(rows, limit, toEndpoint, (row) => row.id),
      200,
    );
  })
  .get("/:id", valid("param", EndpointPath), own, (c) => c.json(toEndpoint(c.get("endpoint")), 200))
  .post("/", requireJson, valid("json", NewEndpoint), async (c) => {
    const wanted = c.req.valid("json");
    const { max } = checkUrl(c.env, wanted.url);
    const convoy = convoyOf(c.env);
    const made = await createEndpoint(c.env.DB, convoy, c.get("owner"), wanted, max);
    const { row, secret } = valueOrThrow(made);
    c.header("Location", `/endpoint/${row.id}`);
    return c.json({ "Endpoint ID": row.id, endpoint: toEndpoint(row), secret }, 201);
  })
  .put(
    "/:id",
    requireJson,
    valid("param", EndpointPath),
    valid("json", EndpointPatch),
    own,
    async (c) => {
      const patch = c.req.valid("json");
      checkUrl(c.env, patch.url);
      const row = c.get("endpoint");
      const changed = await changeEndpoint(c.env.DB, convoyOf(c.env), row, patch);
      return c.json(toEndpoint(valueOrThrow(changed)), 200);
    },
  )
  .delete("/:id", valid("param", EndpointPath), own, async (c) => {
    valueOrThrow(await deleteEndpoint(c.env.DB, convoyOf(c.env), c.get("endpoint")));
    return c.json({ data: "Endpoint ID has been removed." }, 200);
  })
  .post("/:id/ping", valid("param", EndpointPath), async (c) => {
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
  .post("/sync", valid("query", SyncQuery), async (c) => {
    const { cursor } = c.req.valid("query");
    const budget = budgetOf(SYNC_BUDGET, Number.POSITIVE_INFINITY);
    const options = { cursor, budget };
    return c.json(await sync(c.env.DB, convoyOf(c.env), c.get("owner"), options), 200);
  })
  .post("/:id/pause", valid("param", EndpointPath), own, async (c) => {
    const paused = await setPaused(c.env.DB, convoyOf(c.env), c.get("endpoint"), true);
    return c.json(toEndpoint(valueOrThrow(paused)), 200);
  })
  .post("/:id/activate", valid("param", EndpointPath), own, async (c) => {
    const activated = await setPaused(c.env.DB, convoyOf(c.env), c.get("endpoint"), false);
    return c.json(toEndpoint(valueOrThrow(activated)), 200);
  })
  .post(
    "/:id/rotate-secret",
    requireJsonIfAny,
    valid("param", EndpointPath),
    valid("json", Rotation),
    own,
    async (c) => {
      const wanted = c.req.valid("json");
      const rotated = await rotateSecret(c.env.DB, convoyOf(c.env), c.get("endpoint"), wanted);
      const { row, secret, overlapHours } = valueOrThrow(rotated);
      return c.json({ endpoint: toEndpoint(row), secret, overlap_hours: overlapHours }, 200);
    },
  )
  .get(
    "/:id/delivery",
    valid("param", EndpointPath),
    valid("query", DeliveryListQuery),
    own,
    async (c) => {
      const { limit = DELIVERY_PAGE_DEFAULT, cursor } = c.req.valid("query");
      const page = { endpointId: c.get("endpoint").id, perPage: limit, cursor };
      const answer = await listDeliveries(convoyOf(c.env), page);
      if (!answer.ok) throw refusal(answer);
      const { items, next } = answer.data;
      return c.json({ data: items.map(toDelivery), ...(next ? { cursor: next } : {}) }, 200);
    },
  )
  .get("/:id/delivery/:delivery", valid("param", DeliveryPath), own, async (c) => {
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

/** The endpoint settings; 400 for a private address if they allow none. */
function checkUrl(env: Bindings, url: string | undefined) {
  const settings = endpointSettings(env);
  if (url !== undefined && !settings.privateAddresses && isPrivateUrl(url)) {
    const message =
      "must be on the public internet: private, loopback and link-local addresses are refused";
    const details = [{ path: "url", message }];
    throw problem(400, `Bad body. url: ${message}`, { details });
  }
  return settings;
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

/** POST /portal-link: a link to the page where the caller's owner manages its webhooks. */
export const portalLink = newApp().post(
  "/",
  requireJsonIfAny,
  valid("json", NewPortalLink),
  async (c) => {
    if (!isPortalOn(c.env)) throw problem(404, "The portal is turned off here.");
    const page = new URL("/portal/", c.req.url);
    // There are no tokens then, and the page needs none.
    if (c.env.AUTH === "open") return c.json({ url: page.href, expires_at: null }, 201);
    const { expires_in_minutes: minutes = PORTAL_LINK_DEFAULT_MIN } = c.req.valid("json");
    const expiresInS = minutes * 60;
    const expires_at = new Date(Date.now() + expiresInS * 1_000).toISOString();
    // In the fragment, which browsers do not send: it reaches no server's log and no Referer.
    page.hash = `token=${await mintPortalToken(c.env, c.get("owner"), expiresInS)}`;
    return c.json({ url: page.href, expires_at }, 201);
  },
);
