/** The types of webhooks, as a receiver imports them. Checked by tsc in `npm run check`; never run. */
import type { PingWebhook, Webhook } from "../../src/outbox/webhook.ts";
import type { todo } from "../../src/todo/resource.ts";
import type { part } from "../support/thing.ts";

/** Narrowing by `event`. */
export function receive(webhook: Webhook<typeof todo> | PingWebhook): string | number {
  switch (webhook.event) {
    case "created":
    case "updated":
      return webhook.todo.item;
    case "deleted":
    case "failure":
      return webhook.todo.id;
    case "retrieved":
      return webhook.todo?.item ?? "";
    case "ping":
      // @ts-expect-error: a ping has no todo
      return webhook.todo.id;
  }
}

/** What each type has and lacks. */
export function fields(
  created: Webhook<typeof todo, "created">,
  deleted: Webhook<typeof todo, "deleted">,
): (string | number)[] {
  // @ts-expect-error: a deleted todo has only its id
  const gone = deleted.todo.item;
  // @ts-expect-error: no such field
  const owner = created.owner;
  // @ts-expect-error: a test has no sequence
  const sequence: number = created.sequence;
  return created.test ? [] : [created.sequence, sequence, created.event_id, gone, owner];
}

/** Types that a noun declares beyond the five. */
export function further(webhook: Webhook<typeof part>): string {
  return webhook.event === "part.sealed" ? webhook.part.id : webhook.description;
}
