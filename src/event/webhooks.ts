/** What a receiver gets, by event type. For receivers (types) and the API document (schemas); no route needs it. */
import * as z from "zod/mini";
import { Todo } from "../todo/answers.ts";
import { TodoId } from "../todo/schema.ts";
import { WORDS } from "./message.ts";
import type { EventType } from "./schema.ts";

/** What every webhook says; `type` is its event type, which the body tells by the tutorial's `event`. */
function webhook<T extends EventType>(type: T) {
  type Words = (typeof WORDS)[T];
  return z.object({
    event: z.literal<Words["event"]>(WORDS[type].event),
    description: z.literal<Words["description"]>(WORDS[type].description),
    event_id: z.uuid(),
    occurred_at: z.iso.datetime(),
  });
}

const Sequence = z.int().check(z.gte(1));
const TodoGone = z.object({ id: TodoId });

/** The body of each event type. `retrieved`, and `failed` of a read, have no `sequence`: they change nothing. */
export const WEBHOOKS = {
  ping: z.extend(webhook("ping"), { sequence: Sequence }),
  created: z.extend(webhook("created"), { sequence: Sequence, todo: Todo }),
  /** Of one todo; without `todo`, of a list. */
  retrieved: z.extend(webhook("retrieved"), { todo: z.optional(Todo) }),
  updated: z.extend(webhook("updated"), { sequence: Sequence, todo: Todo }),
  deleted: z.extend(webhook("deleted"), { sequence: Sequence, todo: TodoGone }),
  failed: z.extend(webhook("failed"), { sequence: z.optional(Sequence), todo: TodoGone }),
} as const satisfies Record<EventType, z.ZodMiniType>;

/** The body of a webhook of one event type: `Webhook<"created">`; of any: `Webhook`. */
export type Webhook<T extends EventType = EventType> = z.infer<(typeof WEBHOOKS)[T]>;
/** Body of a `ping`. */
export type PingWebhook = Webhook<"ping">;
/** Body of a `created`. */
export type CreatedWebhook = Webhook<"created">;
/** Body of a `retrieved`. */
export type RetrievedWebhook = Webhook<"retrieved">;
/** Body of an `updated`. */
export type UpdatedWebhook = Webhook<"updated">;
/** Body of a `deleted`. */
export type DeletedWebhook = Webhook<"deleted">;
/** Body of a `failed`. */
export type FailedWebhook = Webhook<"failed">;
