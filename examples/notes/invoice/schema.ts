/** An invoice, and what callers may send to /invoice. */
import * as z from "zod/mini";
import { textId } from "../../../src/outbox/outbox.ts";
import { notEmpty, text } from "../../../src/schema.ts";

const CUSTOMER_MAX_CHARS = 200;

/** How an invoice's id is written. */
export const invoiceId = textId("inv_");

/** An invoice as stored and as the API returns it. */
export const Invoice = z.object({
  id: invoiceId.body,
  customer: z.string(),
  amount_cents: z.int(),
  status: z.enum(["open", "paid"]),
});
export type Invoice = z.infer<typeof Invoice>;

const Customer = text(1, CUSTOMER_MAX_CHARS);
const AmountCents = z.int().check(z.gte(1));

/** Body of POST /invoice. Without `id` the server chooses one. */
export const NewInvoice = z.strictObject({
  id: z.optional(invoiceId.body),
  customer: Customer,
  amount_cents: AmountCents,
});

/** Body of PUT /invoice/:id: at least one field. */
export const InvoicePatch = notEmpty(
  z.strictObject({ customer: z.optional(Customer), amount_cents: z.optional(AmountCents) }),
  "send customer, amount_cents or both",
);

export const InvoicePath = z.object({ id: invoiceId.path });
