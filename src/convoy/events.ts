/** Events at Convoy: posting one for an endpoint, and finding it by its key. */
import { type Answer, type Convoy, call, type Failure, LOOKUP_TIMEOUT_MS, list } from "./client.ts";

// One attempt; there are up to three in waitUntil's 30 s.
const POST_TIMEOUT_MS = 5_000;

/** An event as Convoy takes it. */
export type ConvoyEvent = { key: string; endpointId: string; type: string; data: object };

/** Posts an event for one endpoint: 201 for a repeated key too (recorded). */
export function postEvent(convoy: Convoy, event: ConvoyEvent): Promise<Answer<null>> {
  return call(convoy, "/events", {
    method: "POST",
    timeoutMs: POST_TIMEOUT_MS,
    body: {
      endpoint_id: event.endpointId,
      event_type: event.type,
      idempotency_key: event.key,
      data: event.data,
    },
  });
}

/** An event as Convoy lists it. */
export type ConvoyEventRecord = {
  project_id: string;
  idempotency_key: string;
  is_duplicate_event: boolean;
  status: string;
};

/** The event that Convoy took under a key, or null: the oldest, since repeats are listed after it. */
export async function findEventOfKey(
  convoy: Convoy,
  key: string,
): Promise<Answer<ConvoyEventRecord | null>> {
  const answer = await list<ConvoyEventRecord>(convoy, "/events", {
    query: { idempotencyKey: key, perPage: 10, sort: "ASC" },
    timeoutMs: LOOKUP_TIMEOUT_MS,
  });
  if (!answer.ok) return answer;
  return { ...answer, data: answer.data.items.find((item) => !item.is_duplicate_event) ?? null };
}

/** Whether Convoy has no event with the requested key: 400 "event not found" for its deliveries (recorded). */
export function isEventUnknown(answer: Failure): boolean {
  return answer.status === 400 && answer.message === "event not found";
}
