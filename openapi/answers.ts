/** Answers by the name that the document gives them. */

import { Alive, Done, ErrorBody, Health, PortalLink, Rebuilt } from "../src/answers.ts";
import * as endpoint from "../src/endpoint/answers.ts";
import * as event from "../src/event/answers.ts";
import * as todo from "../src/todo/answers.ts";
import { namedSchemas } from "./json-schema.ts";

const answers = {
  Done,
  Todo: todo.Todo,
  TodoPage: todo.TodoPage,
  TodoAdded: todo.TodoAdded,
  Endpoint: endpoint.Endpoint,
  EndpointPage: endpoint.EndpointPage,
  EndpointAdded: endpoint.EndpointAdded,
  Rotated: endpoint.Rotated,
  PingQueued: endpoint.PingQueued,
  ReconcileReport: endpoint.ReconcileReport,
  Delivery: endpoint.Delivery,
  Attempt: endpoint.Attempt,
  DeliveryPage: endpoint.DeliveryPage,
  DeliveryDetail: endpoint.DeliveryDetail,
  LoggedEvent: event.LoggedEvent,
  EventPage: event.EventPage,
  EventDetail: event.EventDetail,
  Replayed: event.Replayed,
  BulkReplayed: event.BulkReplayed,
  Backlog: event.Backlog,
  PortalLink,
  Alive,
  Health,
  Rebuilt,
};
// By name: the order of a module's exports is its loader's.
const byName = Object.entries(answers).sort(([a], [b]) => (a < b ? -1 : 1));

/** The schemas of `components.schemas`. */
export const SCHEMAS = namedSchemas({ Error: ErrorBody, ...Object.fromEntries(byName) });
