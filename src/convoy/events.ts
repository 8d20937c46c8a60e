/** Events at Convoy: posting them, and what its own list says. */
import {
  type Answer,
  type Convoy,
  call,
  convoyTime,
  type Failure,
  list,
  type PageOptions,
  paging,
} from "./client.ts";

/** Timeout of one attempt to post an event to Convoy. */
const POST_TIMEOUT_MS = 5_000;

/** An event as Convoy takes it: for one endpoint, or for all of an owner's. */
export type ConvoyEvent = {
  key: string;
  type: string;
  target: { endpointId: string } | { ownerId: string };
  data: object;
};

/** Posts an event to Convoy: 201 for a repeated key too (recorded). */
export function postEvent(convoy: Convoy, event: ConvoyEvent): Promise<Answer<null>> {
  const single = "endpointId" in event.target;
  return call(convoy, single ? "/events" : "/events/fanout", {
    method: "POST",
    timeoutMs: POST_TIMEOUT_MS,
    body: {
      ...("endpointId" in event.target
        ? { endpoint_id: event.target.endpointId }
        : { owner_id: event.target.ownerId }),
      event_type: event.type,
      idempotency_key: event.key,
      data: event.data,
    },
  });
}

/** An event as Convoy lists it. */
export type ConvoyEventRecord = {
  uid: string;
  project_id: string;
  idempotency_key: string;
  is_duplicate_event: boolean;
  status: string;
  failure_reason?: string;
  endpoints?: string[] | null;
  created_at: string;
};

/**
 * Events that Convoy processed between two times, in the order of its ids, each once over all pages
 * (recorded). That is not the order of created_at.
 */
export function listEvents(convoy: Convoy, page: PageOptions & { fromMs: number; toMs: number }) {
  return list<ConvoyEventRecord>(convoy, "/events", {
    query: {
      ...paging(page),
      sort: "ASC",
      startDate: convoyTime(page.fromMs),
      // Whole seconds: round up, or the last second is lost.
      endDate: convoyTime(page.toMs + 999),
    },
  });
}

/** The event that Convoy took under a key, or null: the oldest, since repeats are listed after it. */
export async function findEventOfKey(
  convoy: Convoy,
  key: string,
): Promise<Answer<ConvoyEventRecord | null>> {
  const answer = await list<ConvoyEventRecord>(convoy, "/events", {
    query: { idempotencyKey: key, perPage: 10, sort: "ASC" },
  });
  if (!answer.ok) return answer;
  return { ...answer, data: answer.data.items.find((item) => !item.is_duplicate_event) ?? null };
}

/** Whether Convoy has no event with the requested key: 400 "event not found" for its deliveries (recorded). */
export function isEventUnknown(answer: Failure): boolean {
  return answer.status === 400 && answer.message === "event not found";
}
