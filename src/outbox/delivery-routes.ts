/** /delivery: what became of each event for each endpoint. HTTP in, HTTP out. */
import type { Context } from "hono";
import { problem } from "../errors.ts";
import { type AppEnv, newApp } from "../http.ts";
import { PAGE_DEFAULT } from "../schema.ts";
import { validOptionalBody, validPath, validQuery } from "../validate.ts";
import { type DeliveryOfEvent, deliveriesOf, listDeliveries } from "./lists.ts";
import { look, lookAtOne, NOTHING } from "./look.ts";
import { bodyOf } from "./message.ts";
import { poll } from "./poll.ts";
import { finish } from "./publish.ts";
import { countMany, resend, resendMany } from "./resend.ts";
import { parseKey, presentKey } from "./rows.ts";
import { BulkResend, IdPath, LogQuery, PollQuery } from "./schema.ts";
import { cursorOf, rangeOf, toDelivery, toPolled, toProgress, withoutContents } from "./views.ts";
import { whose } from "./whose.ts";

/** Routes under /delivery. */
export const delivery = newApp()
  .get("/", validQuery(LogQuery), async (c) => {
    const { owner: asked, cursor, since, until, ...filter } = c.req.valid("query");
    const { limit = PAGE_DEFAULT } = filter;
    const wanted = { ...filter, range: rangeOf({ since, until }), limit, before: cursor ?? null };
    const owner = whose(c, asked);
    const { rows, next } = await listDeliveries(c.env.DB, owner, wanted);
    const outbox = c.get("outbox");
    const { seen } = owner === null ? NOTHING : await look(c.env, outbox, owner, rows);
    const shown = rows.map((row) => toDelivery(outbox.resources, row, seen.get(presentKey(row))));
    if (owner !== null) return c.json({ data: shown, ...cursorOf(next) }, 200);
    const data = shown.map((one, index) => withoutContents(rows[index]?.owner ?? "", one));
    return c.json({ data, ...cursorOf(next) }, 200);
  })
  .get("/poll", validQuery(PollQuery), async (c) => {
    const { after = null, status = null, endpoint = null, type = null } = c.req.valid("query");
    const owner = c.get("owner");
    const { watch: watched = [] } = c.req.valid("query");
    const news = await poll(c.env.DB, owner, { after, status, endpoint, type, watched });
    const outbox = c.get("outbox");
    const known = news.watched.map((row) => ({ ...row, id: row.id ?? "" }));
    const { seen, error } = await look(c.env, outbox, owner, [
      ...known,
      ...news.rows,
      ...news.sending,
    ]);
    return c.json(
      {
        ...toPolled(news, error !== null),
        data: news.rows.map((row) => toDelivery(outbox.resources, row, seen.get(presentKey(row)))),
        watched: known.map((row) => ({
          ...{ sequence: row.event_seq, endpoint_id: row.endpoint_id },
          ...toProgress(row, seen.get(presentKey(row))),
        })),
      },
      200,
    );
  })
  .post("/resend", validOptionalBody(BulkResend), async (c) => {
    const { endpoint, status, since, until, cursor, dry_run } = c.req.valid("json");
    const wanted = {
      owner: c.get("owner"),
      statuses: status ? [status] : (["failed", "dead"] as const),
      endpointId: endpoint ?? null,
      range: rangeOf({ since, until }),
      before: cursor?.seq ?? Number.MAX_SAFE_INTEGER,
    };
    const { resent, next } = dry_run
      ? await countMany(c.env.DB, wanted)
      : await resendMany(c.env.DB, wanted, Date.now());
    return c.json(
      { resent, ...(next === null ? {} : { cursor: String(next) }) },
      dry_run ? 200 : 202,
    );
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
