/** /invoice: HTTP in, HTTP out. */
import { json, jsonText, newApp, requireJson, valid } from "../../../src/http.ts";
import { change, list, read } from "../../../src/outbox/outbox.ts";
import { EndpointQuery } from "../../../src/schema.ts";
import { invoice, OPEN } from "./resource.ts";
import {
  type Invoice,
  InvoiceListQuery,
  InvoicePatch,
  InvoicePath,
  invoiceId,
  NewInvoice,
} from "./schema.ts";

const PAGE_DEFAULT = 100;

/** Routes under /invoice. */
export const invoiceRoutes = newApp()
  .get("/", valid("query", InvoiceListQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    return json(await list(c, invoice, { limit, cursor }), 200);
  })
  .get("/:id", valid("param", InvoicePath), valid("query", EndpointQuery), async (c) => {
    const found = await read(c, invoice, c.req.valid("param").id);
    if (found === null) return c.json({ error: "Invoice not found" }, 404);
    return jsonText<Invoice, 200>(found, 200);
  })
  .post("/", requireJson, valid("query", EndpointQuery), valid("json", NewInvoice), async (c) => {
    const sent = c.req.valid("json");
    const { id = invoiceId.random(), customer, amount_cents } = sent;
    const made: Invoice = { id, customer, amount_cents, status: "open" };
    const fresh = sent.id === undefined;
    const { eventId } = await change(c, invoice, { change: "create", id, patch: made, fresh });
    const headers = { "X-Event-Id": eventId, Location: `/invoice/${id}` };
    return json({ data: "Invoice added", invoice: made }, 201, headers);
  })
  .put(
    "/:id",
    requireJson,
    valid("param", InvoicePath),
    valid("query", EndpointQuery),
    valid("json", InvoicePatch),
    async (c) => {
      const { id } = c.req.valid("param");
      const patch = c.req.valid("json");
      const { eventId } = await change(c, invoice, { change: "update", id, patch, guard: OPEN });
      const data = `Invoice with id ${id} has been updated.`;
      return json({ data }, 200, { "X-Event-Id": eventId });
    },
  )
  .delete("/:id", valid("param", InvoicePath), valid("query", EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    const { eventId } = await change(c, invoice, { change: "delete", id, guard: OPEN });
    const data = `Invoice with id ${id} has been removed.`;
    return json({ data }, 200, { "X-Event-Id": eventId });
  })
  .post("/:id/pay", valid("param", InvoicePath), valid("query", EndpointQuery), async (c) => {
    const { id } = c.req.valid("param");
    const { eventId } = await change(c, invoice, {
      change: "update",
      id,
      patch: { status: "paid" },
      type: "invoice.paid",
      guard: OPEN,
    });
    const data = `Invoice with id ${id} has been paid.`;
    return json({ data }, 200, { "X-Event-Id": eventId });
  });
