/** The webhook's body: the tutorial's texts, and what receivers need to drop repeats and to order. */

import type { ConvoyEvent } from "../convoy/events.ts";
import { NOUN, RESOURCE_WORDS } from "../resource.ts";
import type { EventType } from "./schema.ts";
import type { EventRow } from "./table.ts";

/** The tutorial's table: `event` and `description` of each type. */
export const WORDS = {
  ping: { event: "ping", description: "Webhook test from application." },
  ...RESOURCE_WORDS,
} as const satisfies Record<EventType, { event: string; description: string }>;

/** What a message is built from: a row of the log, or the event of a read, which has no `seq`. */
export type Source = Pick<
  EventRow,
  "id" | "owner" | "endpoint_id" | "occurred_at" | "todo_id" | "todo"
> & { type: EventType; seq?: number; replays?: number };

/** The event as Convoy takes it. A replay has a new key and the same `event_id`. */
export function toConvoyEvent(source: Source): ConvoyEvent {
  return {
    key: idempotencyKey(source),
    type: source.type,
    target: source.endpoint_id ? { endpointId: source.endpoint_id } : { ownerId: source.owner },
    data: {
      ...WORDS[source.type],
      event_id: source.id,
      ...(source.seq === undefined ? {} : { sequence: source.seq }),
      occurred_at: new Date(source.occurred_at).toISOString(),
      ...resourceOf(source),
    },
  };
}

/** The idempotency key at Convoy: the event's id, or `id:n` for its n-th replay. */
export function idempotencyKey({ id, replays }: Pick<Source, "id" | "replays">): string {
  return replays ? `${id}:${replays}` : id;
}

/** The event id and the replay number in a key from `idempotencyKey`; null for a key that is not ours. */
export function parseKey(key: string): { id: string; replays: number } | null {
  const [, id, replays] = /^([0-9a-f-]{36})(?::([1-9]\d{0,8}))?$/.exec(key) ?? [];
  return id === undefined ? null : { id, replays: Number(replays ?? 0) };
}

function resourceOf({ todo, todo_id }: Source): { [NOUN]?: object } {
  if (todo !== null) return { [NOUN]: JSON.parse(todo) as object };
  return todo_id === null ? {} : { [NOUN]: { id: todo_id } };
}
