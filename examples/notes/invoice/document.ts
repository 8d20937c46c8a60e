/** What the API document says of invoices beyond the five routes. */
import { changeOf, doneAnswer } from "../../../openapi/noun.ts";
import { routesOf } from "../../../openapi/operation.ts";
import { invoice } from "./resource.ts";

export const INVOICE = [
  routesOf("Invoices")("post /invoice/:id/pay", "payInvoice", "Pay an invoice", {
    ...changeOf(invoice),
    description: "Publishes `invoice.paid`, once.",
    answers: { 200: doneAnswer(invoice, "paid") },
  }),
];
