/** The typed client of three nouns, and the types of their webhooks. Checked by tsc in `npm run check`; never run. */
import type { Context } from "hono";
import { hc } from "hono/client";
import type { AppType } from "../../examples/notes/app.ts";
import type { invoice } from "../../examples/notes/invoice/resource.ts";
import type { note } from "../../examples/notes/note/resource.ts";
import type { AppEnv } from "../../src/http.ts";
import type { change } from "../../src/outbox/outbox.ts";
import type { Webhook } from "../../src/outbox/webhook.ts";

const client = hc<AppType>("http://127.0.0.1:8080");

/** Valid calls, and answers narrowed by their status. */
export async function right(): Promise<string | number | boolean | null> {
  const made = await client.note.$post({ json: { title: "x" }, query: {} });
  if (made.status === 201) return (await made.json()).note.pinned;
  const paid = await client.invoice[":id"].pay.$post({ param: { id: "inv_1" }, query: {} });
  if (paid.status === 200) return (await paid.json()).data;
  const one = await client.invoice[":id"].$get({ param: { id: "inv_1" }, query: {} });
  if (one.status === 200) return (await one.json()).amount_cents;
  const page = await client.delivery.$get({ query: { status: "failed", type: "invoice.paid" } });
  return (await page.json()).cursor ?? null;
}

/** Invalid calls. */
export async function wrong(): Promise<void> {
  // @ts-expect-error: a field of the todo
  await client.note.$post({ json: { item: "x" }, query: {} });
  // @ts-expect-error: a note cannot be paid
  await client.note[":id"].pay.$post({ param: { id: "1" }, query: {} });
}

/** Narrowing by `event`, over two nouns' webhooks that have the same one: by their key. */
export function receive(webhook: Webhook<typeof note> | Webhook<typeof invoice>): string {
  if (webhook.event === "invoice.paid") return String(webhook.invoice.id);
  if (webhook.event !== "created") return webhook.description;
  return "note" in webhook ? webhook.note.title : webhook.invoice.customer;
}

type Made = {
  c: Context<AppEnv>;
  change: typeof change;
  note: typeof note;
  invoice: typeof invoice;
};

/** A change takes no type but those that its noun declares. */
export async function declared({ c, change, note, invoice }: Made): Promise<string | undefined> {
  const update = { change: "update", patch: {} } as const;
  // @ts-expect-error: a note declares no further type
  await change(c, note, { ...update, id: 1, type: "invoice.paid" });
  // @ts-expect-error: an invoice declares no such type
  await change(c, invoice, { ...update, id: "inv_1", type: "invoice.payed" });
  const paid = await change(c, invoice, { ...update, id: "inv_1", type: "invoice.paid" });
  return paid.data?.status;
}
