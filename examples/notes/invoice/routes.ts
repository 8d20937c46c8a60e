/** /invoice: HTTP in, HTTP out. */
import { jsonText, newApp } from "../../../src/http.ts";
import { change, list, read } from "../../../src/outbox/outbox.ts";
import { EndpointQuery, ListQuery, PAGE_DEFAULT } from "../../../src/schema.ts";
import { validBody, validPath, validQuery } from "../../../src/validate.ts";
import { invoice, OPEN } from "./resource.ts";
import { type Invoice, InvoicePatch, InvoicePath, invoiceId, NewInvoice } from "./schema.ts";

const onOne = [validPath(InvoicePath), validQuery(EndpointQuery)] as const;

export const invoiceRoutes = newApp()
  .get("/", validQuery(ListQuery), async (c) => {
    const { limit = PAGE_DEFAULT, cursor } = c.req.valid("query");
    return c.json(await list(c, invoice, { limit, cursor }), 200);
  })
  .get("/:id", ...onOne, async (c) => {
    const found = await read(c, invoice, c.req.valid("param").id);
    if (found === null) return c.json({ error: "Invoice not found" }, 404);
    return jsonText<Invoice, 200>(c, found, 200);
  })
  .post("/", validQuery(EndpointQuery), validBody(NewInvoice), async (c) => {
    const { id = invoiceId.random(), customer, amount_cents } = c.req.valid("json");
    const made: Invoice = { id, customer, amount_cents, status: "open" };
    const fresh = c.req.valid("json").id === undefined;
    await change(c, invoice, { change: "create", id, patch: made, fresh });
    return c.json({ data: "Invoice added", invoice: made }, 201, { Location: `/invoice/${id}` });
  })
  .put("/:id", ...onOne, validBody(InvoicePatch), async (c) => {
    const { id } = c.req.valid("param");
    const patch = c.req.valid("json");
    await change(c, invoice, { change: "update", id, patch, guard: OPEN });
    return c.json({ data: `Invoice with id ${id} has been updated.` }, 200);
  })
  .delete("/:id", ...onOne, async (c) => {
    const { id } = c.req.valid("param");
    await change(c, invoice, { change: "delete", id, guard: OPEN });
    return c.json({ data: `Invoice with id ${id} has been removed.` }, 200);
  })
  .post("/:id/pay", ...onOne, async (c) => {
    const { id } = c.req.valid("param");
    const patch = { status: "paid" };
    await change(c, invoice, { change: "update", type: "invoice.paid", id, patch, guard: OPEN });
    return c.json({ data: `Invoice with id ${id} has been paid.` }, 200);
  });
