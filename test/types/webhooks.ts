/** The types of webhooks, as a receiver imports them. Checked by tsc in `npm run check`; never run. */
import type { CreatedWebhook, DeletedWebhook, Webhook } from "../../src/answers.ts";

/** Narrowing by `event`. */
export function receive(webhook: Webhook): string | number {
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
export function fields(created: CreatedWebhook, deleted: DeletedWebhook): (string | number)[] {
  // @ts-expect-error: a deleted todo has only its id
  const gone = deleted.todo.item;
  // @ts-expect-error: no such field
  const owner = created.owner;
  return [created.sequence, created.event_id, gone, owner];
}
