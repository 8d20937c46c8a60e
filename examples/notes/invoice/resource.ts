/** What the rest knows of invoices: text ids, and `invoice.paid` beside the types that every noun has. */
import { defineResource, type Guard } from "../../../src/outbox/outbox.ts";
import { Invoice, InvoicePatch, invoiceId, NewInvoice } from "./schema.ts";

const example: Invoice = {
  id: "inv_1",
  customer: "Ada Lovelace",
  amount_cents: 1_250,
  status: "open",
};

export const invoice = defineResource({
  name: "invoice",
  id: invoiceId,
  schema: Invoice,
  bodies: { create: NewInvoice, update: InvoicePatch },
  title: ({ customer, amount_cents }) => `${customer}: ${(amount_cents / 100).toFixed(2)}`,
  example,
  types: {
    "invoice.paid": { description: "Invoice paid", example: { ...example, status: "paid" } },
  },
});

/** Only an open invoice can be changed, removed or paid: the commit itself checks it. */
export const OPEN: Guard = {
  sql: "current.data ->> 'status' = 'open'",
  error: "The invoice is paid: only an open one can be changed, removed or paid.",
};
