/** /delivery: what became of each event for each endpoint. HTTP in, HTTP out. */
import type { Context } from "hono";
import { problem } from "../errors.ts";
import { type AppEnv, newApp } from "../http.ts";
import { PAGE_DEFAULT } from "../schema.ts";
import { validOptionalBody, validPath, validQuery } from "../validate.ts";
import { type DeliveryOfEvent, deliveriesOf, listDeliveries } from "./lists.ts";
import { look, lookAtOne, presentKey } from "./look.ts";
import { bodyOf } from "./message.ts";
import { finish } from "./publish.ts";
import { resend, resendMany } from "./resend.ts";
import { parseKey } from "./rows.ts";
import { BulkResend, IdPath, LogQuery } from "./schema.ts";
import { cursorOf, rangeOf, toDelivery } from "./views.ts";

/** Routes under /delivery. */
export const delivery = newApp()
  .get("/", validQuery(LogQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor, since, until, ...filter } = c.req.valid("query");
    const wanted = { ...filter, range: rangeOf({ since, until }), limit, before: cursor ?? null };
    const { rows, next } = await listDeliveries(c.env.DB, c.get("owner"), wanted);
    const outbox = c.get("outbox");
    const seen = await look(c.env, outbox, c.get("owner"), rows);
    const data = rows.map((row) => toDelivery(outbox.resources, row, seen.get(presentKey(row))));
    return c.json({ data, ...cursorOf(next) }, 200);
  })
  .post("/resend", validOptionalBody(BulkResend), async (c) => {
    const { endpoint, status, since, until, cursor } = c.req.valid("json");
    const wanted = {
      owner: c.get("owner"),
      statuses: status ? [status] : (["failed", "dead"] as const),
      endpointId: endpoint ?? null,
      range: rangeOf({ since, until }),
      before: cursor?.seq ?? Number.MAX_SAFE_INTEGER,
    };
    const { resent, next } = await resendMany(c.env.DB, wanted, Date.now());
    return c.json({ resent, ...(next === null ? {} : { cursor: String(next) }) }, 202);
  })
  .get("/:id", validPath(IdPath), async (c) => {
    const row = await own(c);
    const outbox = c.get("outbox");
    const looked = await lookAtOne(c.env, outbox, row);
    const { now, attempts, error } = looked;
    const last = attempts?.at(-1);
    const shown = toDelivery(outbox.resources, row, now ?? undefined);
    return c.json(
      {
        ...shown,
        last_http_status: last?.http_status ?? shown.last_http_status,
        body: bodyOf({ ...row, seq: row.event_seq }, outbox.resources) as Record<string, unknown>,
        attempts_made: attempts,
        ...(error === null ? {} : { attempts_error: error }),
      },
      200,
    );
  })
  .post("/:id/resend", validPath(IdPath), async (c) => {
    const row = await own(c);
    const now = Date.now();
    const { owner, id: eventId, endpoint_id: endpointId } = row;
    const resent = await resend(c.env.DB, { owner, eventId, endpointId, now });
    const again = resent?.deliveries[0];
    if (!resent || !again) throw problem(409, whyNot(await own(c)));
    const { event, deliveries } = resent;
    const outbox = c.get("outbox");
    c.executionCtx.waitUntil(finish(c.env, outbox, { event, deliveries, put: null, now }));
    c.header("X-Event-Id", eventId);
    const shown = toDelivery(outbox.resources, { ...row, ...again }, undefined);
    return c.json({ data: "Delivery queued" as const, delivery: shown }, 202);
  });

/** The caller's delivery of the path; throws a 404 if it has none with this id. */
async function own(c: Context<AppEnv, "/:id">): Promise<DeliveryOfEvent> {
  const key = parseKey(c.req.param("id"));
  const [row] =
    key === null || key.version > 0
      ? []
      : await deliveriesOf(c.env.DB, c.get("owner"), key.eventId, key.endpointId);
  if (!row) throw problem(404, "Delivery not found");
  return row;
}

/** Why a delivery cannot be sent again. */
function whyNot({ status }: DeliveryOfEvent): string {
  switch (status) {
    case "pending":
      return "The delivery is pending: it will be sent without this.";
    case "sending":
      return "The delivery is being sent. Wait for what becomes of it.";
    case "held":
      return "The delivery is held until its endpoint is active. Activate the endpoint.";
    default:
      return "The endpoint was removed: there is nowhere to send it.";
  }
}
