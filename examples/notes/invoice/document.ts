/** What the API document says of invoices beyond the five routes. */
import { changeOf, doneAnswer } from "../../../openapi/noun.ts";
import type { Operation } from "../../../openapi/operation.ts";
import { invoice } from "./resource.ts";

/** POST /invoice/:id/pay. */
export const INVOICE: Operation[] = [
  {
    ...changeOf(invoice),
    method: "post",
    path: "/invoice/:id/pay",
    id: "payInvoice",
    summary: "Pay an invoice",
    description: "Publishes `invoice.paid`, once.",
    answers: { 200: doneAnswer(invoice, "paid") },
  },
];
