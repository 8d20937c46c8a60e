/** The answers' schemas by their names in the document. */

import {
  Alive,
  Attempt,
  Backlog,
  BulkReplayed,
  Delivery,
  DeliveryDetail,
  DeliveryPage,
  Done,
  Endpoint,
  EndpointAdded,
  EndpointPage,
  EventDetail,
  EventPage,
  Health,
  LoggedEvent,
  PingQueued,
  PortalLink,
  Rebuilt,
  ReconcileReport,
  Replayed,
  Rotated,
  Todo,
  TodoAdded,
  TodoPage,
} from "../src/answers.ts";
import { ErrorBody } from "../src/errors.ts";
import { Signpost } from "../src/root.ts";
import { namedSchemas } from "./json-schema.ts";

const answers = {
  Done,
  Todo,
  TodoPage,
  TodoAdded,
  Endpoint,
  EndpointPage,
  EndpointAdded,
  Rotated,
  PingQueued,
  ReconcileReport,
  Delivery,
  Attempt,
  DeliveryPage,
  DeliveryDetail,
  LoggedEvent,
  EventPage,
  EventDetail,
  Replayed,
  BulkReplayed,
  Backlog,
  PortalLink,
  Alive,
  Health,
  Rebuilt,
  Signpost,
};
// By name: the order of a module's exports is its loader's.
const byName = Object.entries(answers).sort(([a], [b]) => (a < b ? -1 : 1));

/** The schemas of `components.schemas`. */
export const SCHEMAS = namedSchemas({ Error: ErrorBody, ...Object.fromEntries(byName) });
