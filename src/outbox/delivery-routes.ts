/** /delivery: what became of each event for each endpoint. HTTP in, HTTP out. */
import type { Context } from "hono";
import { problem } from "../errors.ts";
import { type AppEnv, newApp } from "../http.ts";
import { validOptionalBody, validPath, validQuery } from "../validate.ts";
import { type DeliveryOfEvent, deliveriesOf, listDeliveries } from "./lists.ts";
import { askLive, askLiveOne, NOTHING } from "./live.ts";
import { bodyOf } from "./message.ts";
import { poll } from "./poll.ts";
import { finish } from "./publish.ts";
import { resend, resendMany } from "./resend.ts";
import { parseKey, presentKey } from "./rows.ts";
import { BulkResend, IdPath, LogQuery, PollQuery } from "./schema.ts";
import { cursorOf, toDelivery, toProgress, withoutContents } from "./views.ts";
import { whose } from "./whose.ts";

/** Routes under /delivery. */
export const delivery = newApp()
  .get("/", validQuery(LogQuery), async (c) => {
    const query = c.req.valid("query");
    const owner = whose(c, query.owner);
    const { rows, next } = await listDeliveries(c.env.DB, owner, query);
    const outbox = c.get("outbox");
    const { seen } = owner === null ? NOTHING : await askLive(c.env, outbox, owner, rows);
    const data = rows.map((row) => {
      const shown = toDelivery(outbox.resources, row, seen.get(presentKey(row)));
      return owner === null ? withoutContents(row.owner, shown) : shown;
    });
    return c.json({ data, ...cursorOf(next) }, 200);
  })
  .get("/poll", validQuery(PollQuery), async (c) => {
    const owner = c.get("owner");
    const news = await poll(c.env.DB, owner, c.req.valid("query"));
    const outbox = c.get("outbox");
    const asked = [...news.watched, ...news.rows, ...news.sending];
    const { seen, error } = await askLive(c.env, outbox, owner, asked);
    const data = news.rows.map((row) =>
      toDelivery(outbox.resources, row, seen.get(presentKey(row))),
    );
    const watched = news.watched.map((row) => ({
      ...{ sequence: row.event_seq, endpoint_id: row.endpoint_id },
      ...toProgress(row, seen.get(presentKey(row))),
    }));
    const gateway = error === null ? news.rest.gateway : "down";
    return c.json({ ...news.rest, gateway, data, watched }, 200);
  })
  .post("/resend", validOptionalBody(BulkResend), async (c) => {
    const wanted = c.req.valid("json");
    const { resent, next } = await resendMany(c.env.DB, c.get("owner"), wanted, Date.now());
    const body = { resent, ...(next === null ? {} : { cursor: String(next) }) };
    return c.json(body, wanted.dry_run ? 200 : 202);
  })
  .get("/:id", validPath(IdPath), async (c) => {
    const row = await own(c);
    const outbox = c.get("outbox");
    const { now, attempts, error } = await askLiveOne(c.env, outbox, row);
    const shown = toDelivery(outbox.resources, row, now);
    const last_http_status = attempts?.at(-1)?.http_status ?? shown.last_http_status;
    const body = bodyOf({ ...row, seq: row.event_seq }, outbox.resources);
    const more = error === null ? {} : { attempts_error: error };
    return c.json({ ...shown, last_http_status, body, attempts_made: attempts, ...more }, 200);
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
