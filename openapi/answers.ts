/** The answers' schemas by their names in the document. */
import type * as z from "zod/mini";
import { Alive, ErrorBody, Health, PortalLink, Signpost } from "../src/answers.ts";
import {
  Endpoint,
  EndpointAdded,
  EndpointPage,
  EndpointRemoved,
  OwnedEndpointPage,
  PingQueued,
  Rotated,
  SyncReport,
  TestQueued,
} from "../src/endpoint/answers.ts";
import {
  Attempt,
  BulkResent,
  Delivery,
  DeliveryDetail,
  DeliveryPage,
  EventDetail,
  EventPage,
  EventTypes,
  LoggedEvent,
  OwnedDeliveryPage,
  OwnedEventPage,
  Polled,
  Rebuilt,
  Replayed,
  Resent,
  Summary,
} from "../src/outbox/answers.ts";
import type { Registry } from "../src/outbox/outbox.ts";
import { namedSchemas } from "./json-schema.ts";
import { Done, nounSchemas } from "./noun.ts";

const ANSWERS: Record<string, z.ZodMiniType> = {
  Done,
  Endpoint,
  EndpointPage,
  EndpointAdded,
  EndpointRemoved,
  OwnedEndpointPage,
  Rotated,
  PingQueued,
  TestQueued,
  SyncReport,
  Delivery,
  Attempt,
  DeliveryPage,
  DeliveryDetail,
  OwnedDeliveryPage,
  Polled,
  Resent,
  BulkResent,
  LoggedEvent,
  EventPage,
  EventDetail,
  OwnedEventPage,
  EventTypes,
  Replayed,
  Summary,
  PortalLink,
  Alive,
  Health,
  Rebuilt,
  Signpost,
  Error: ErrorBody,
};

/** The schemas of `components.schemas`. @throws Error if a noun's have the names of others */
export function schemasOf(nouns: Registry) {
  const named = [...nouns.values()].flatMap((noun) => Object.entries(nounSchemas(noun)));
  const all = [...Object.entries(ANSWERS), ...named];
  const names = all.map(([name]) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    throw new Error(`Two schemas of the API document are named ${twice}: rename the noun.`);
  }
  // By name: the order of a module's exports is its loader's.
  return namedSchemas(Object.fromEntries(all.sort(([a], [b]) => (a < b ? -1 : 1))));
}
