/** The webhook's body: the noun's texts, and what receivers need to drop repeats and to order. */
import type { Post } from "./gateway.ts";
import { type EventType, PING, type Registry } from "./resource.ts";
import { type EventContent, keyOf } from "./rows.ts";
import { iso } from "./time-range.ts";

/** What a body is built from: a row of the log, or the event of a read, which has no `seq`. */
export type Content = Omit<EventContent, "seq"> & { seq?: number };

/**
 * The body, built anew for each post, always the same for the same event: `{event, description, event_id,
 * sequence?, occurred_at, test?, [name]?}`. A read and a test have no `sequence`: they change nothing.
 */
export function bodyOf(content: Content, resources: Registry): Record<string, unknown> {
  const { id, seq, type, occurred_at, resource, test } = content;
  const texts = (resource === null ? undefined : resources.get(resource)?.types.get(type)) ?? {
    ...PING,
    ...(type === PING.type ? {} : { event: type, description: type }),
  };
  return {
    event: texts.event,
    description: texts.description,
    event_id: id,
    ...(seq === undefined || test === 1 ? {} : { sequence: seq }),
    occurred_at: iso(occurred_at),
    ...(test === 1 ? { test: true } : {}),
    ...subjectOf(content, resources),
  };
}

/** What an event of a type is about, as its example has it. */
export function exampleOf({ type, resource, example }: EventType) {
  const { id = null } = (example ?? {}) as { id?: string | number | null };
  const resource_id = id === null ? null : String(id);
  return { type, resource, resource_id, data: example && JSON.stringify(example) };
}

function subjectOf({ resource, resource_id, data }: Content, resources: Registry): object {
  if (resource === null) return {};
  if (data !== null) return { [resource]: JSON.parse(data) as object };
  if (resource_id === null) return {};
  const id = resources.get(resource)?.id.fromText(resource_id) ?? resource_id;
  return { [resource]: { id } };
}

/** The event for one endpoint, as the gateway takes it. */
export function postOf(
  content: Content,
  endpointId: string,
  version: number,
  resources: Registry,
): Post {
  return {
    key: keyOf(content.id, endpointId, version),
    endpointId,
    type: content.type,
    body: bodyOf(content, resources),
  };
}
