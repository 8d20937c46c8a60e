/** What the API answers. Handlers use only the types; the schemas make the API document, and check tests. */
import * as z from "zod/mini";
import { EventState, LoggedType, TodoId } from "./schema.ts";

/** A todo as stored and as given out. */
export const Todo = z.object({ id: TodoId, item: z.string(), completed: z.boolean() });
/** A todo as stored and as given out. */
export type Todo = z.infer<typeof Todo>;

/** An endpoint as given out. */
export const Endpoint = z.object({
  id: z.string(),
  name: z.string(),
  url: z.string(),
  description: z.string(),
  http_timeout: z.int(),
  status: z.enum(["active", "pausing", "paused", "activating", "inactive", "missing"]),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
/** An endpoint as given out. */
export type Endpoint = z.infer<typeof Endpoint>;

const Time = z.nullable(z.iso.datetime());

/** An event of the log as given out. */
export const LoggedEvent = z.object({
  id: z.string(),
  sequence: z.int(),
  type: LoggedType,
  endpoint_id: z.nullable(z.string()),
  todo_id: z.nullable(TodoId),
  todo: z.nullable(Todo),
  state: EventState,
  attempts: z.int(),
  replays: z.int(),
  error: z.nullable(z.string()),
  occurred_at: z.iso.datetime(),
  accepted_at: Time,
  finished_at: Time,
  next_try_at: Time,
});
/** An event of the log as given out. */
export type LoggedEvent = z.infer<typeof LoggedEvent>;

/** A delivery as Convoy tells it, without anything secret. */
export const Delivery = z.object({
  id: z.string(),
  endpoint_id: z.string(),
  event_type: z.string(),
  idempotency_key: z.string(),
  status: z.string(),
  attempts: z.int(),
  max_attempts: z.int(),
  next_attempt_at: z.nullable(z.string()),
  created_at: z.string(),
  updated_at: z.string(),
});
/** A delivery as Convoy tells it, without anything secret. */
export type Delivery = z.infer<typeof Delivery>;

/** One attempt of a delivery: what the receiver answered. */
export const Attempt = z.object({
  id: z.string(),
  http_status: z.string(),
  response: z.string(),
  error: z.nullable(z.string()),
  requested_at: z.string(),
  responded_at: z.string(),
});
/** One attempt of a delivery: what the receiver answered. */
export type Attempt = z.infer<typeof Attempt>;
