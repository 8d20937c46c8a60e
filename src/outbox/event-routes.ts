/** /event: the log as an API. HTTP in, HTTP out. */
import { problem } from "../errors.ts";
import { newApp } from "../http.ts";
import { validPath, validQuery } from "../validate.ts";
import { deliveriesOf, findEvent, listEvents, summaryOf } from "./lists.ts";
import { bodyOf, exampleOf } from "./message.ts";
import { finish } from "./publish.ts";
import { resend } from "./resend.ts";
import { eventTypesOf, type Registry } from "./resource.ts";
import { IdPath, LogQuery } from "./schema.ts";
import { cursorOf, toDelivery, toEvent, withoutContents } from "./views.ts";
import { whose } from "./whose.ts";

/** Routes under /event. */
export const event = newApp()
  .get("/", validQuery(LogQuery), async (c) => {
    const query = c.req.valid("query");
    const owner = whose(c, query.owner);
    const { rows, next } = await listEvents(c.env.DB, owner, query);
    const data = rows.map((row) => {
      const shown = toEvent(c.get("outbox").resources, row);
      return owner === null ? withoutContents(row.owner, shown) : shown;
    });
    return c.json({ data, ...cursorOf(next) }, 200);
  })
  .get("/summary", async (c) => c.json(await summaryOf(c.env.DB, c.get("owner"), Date.now()), 200))
  .get("/type", (c) => c.json({ data: catalogueOf(c.get("outbox").resources) }, 200))
  .get("/:id", validPath(IdPath), async (c) => {
    const { id } = c.req.valid("param");
    const owner = c.get("owner");
    const [row, rows] = await Promise.all([
      findEvent(c.env.DB, owner, id),
      deliveriesOf(c.env.DB, owner, id),
    ]);
    if (!row) throw problem(404, "Event not found");
    const { resources } = c.get("outbox");
    const deliveries = rows.map((one) => toDelivery(resources, one, undefined));
    return c.json({ ...toEvent(resources, row), deliveries }, 200);
  })
  .post("/:id/replay", validPath(IdPath), async (c) => {
    const { id } = c.req.valid("param");
    const owner = c.get("owner");
    const now = Date.now();
    const resent = await resend(c.env.DB, { owner, eventId: id, endpointId: null, now });
    if (!resent) throw problem(404, "Event not found");
    const { event, deliveries } = resent;
    if (deliveries.length === 0) {
      throw problem(
        409,
        "The event has no delivery that can be sent again: none is final, or their endpoints were removed.",
      );
    }
    const outbox = c.get("outbox");
    c.executionCtx.waitUntil(finish(c.env, outbox, { event, deliveries, put: null, now }));
    c.header("X-Event-Id", id);
    const { due_at, ...content } = event;
    const shown = deliveries.map((one) =>
      toDelivery(outbox.resources, { ...content, ...one }, undefined),
    );
    return c.json({ data: "Event queued" as const, event_id: id, deliveries: shown }, 202);
  });

/** Every event type, with the body that a test event of it sends. */
function catalogueOf(resources: Registry) {
  return eventTypesOf(resources).map((one) => {
    const { type, description, resource } = one;
    const test = { id: "0193f0a0-0000-7000-8000-000000000000", occurred_at: 0, test: 1 as const };
    return { type, description, resource, body: bodyOf({ ...test, ...exampleOf(one) }, resources) };
  });
}
