// Subscriptions: which event types an endpoint wants. Without one it gets nothing.
import type { Context } from "../context.ts";
import { Refusal } from "../envelope.ts";
import { findEndpoint } from "./endpoints.ts";

/** A row of the table; `event_types` is JSON of string[]. */
export type SubscriptionRow = {
  uid: string;
  name: string;
  endpoint_id: string;
  event_types: string;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
};

/** The subscription; refuses with 404 (recorded). */
export function requireSubscription(context: Context, uid: string): SubscriptionRow {
  const row = context.db.get<SubscriptionRow>(
    "SELECT * FROM subscription WHERE uid = ? AND deleted_at IS NULL",
    uid,
  );
  if (!row) throw new Refusal(404, "failed to find subscription");
  return row;
}

/** The undeleted subscriptions of an endpoint, oldest first. */
export function livingSubscriptions(context: Context, endpointId: string): SubscriptionRow[] {
  return context.db.all<SubscriptionRow>(
    "SELECT * FROM subscription WHERE endpoint_id = ? AND deleted_at IS NULL ORDER BY uid",
    endpointId,
  );
}

/** Whether a subscription wants events of this type. */
export function wants(row: SubscriptionRow, eventType: string): boolean {
  const types = JSON.parse(row.event_types) as string[];
  return types.includes("*") || types.includes(eventType);
}

/** The fields of a new subscription. */
export type SubscriptionFields = { name: string; endpoint_id: string; event_types: string[] };

/** Creates a subscription; refuses if the endpoint is missing or already has one (recorded). */
export function createSubscription(context: Context, fields: SubscriptionFields): SubscriptionRow {
  if (!findEndpoint(context, fields.endpoint_id))
    throw new Refusal(400, "failed to find endpoint by id");
  const taken = context.db.get(
    "SELECT 1 FROM subscription WHERE endpoint_id = ? AND deleted_at IS NULL",
    fields.endpoint_id,
  );
  if (taken) throw new Refusal(400, "a subscription for this endpoint already exists");
  return insertSubscription(context, fields);
}

/** Creates a subscription even if the endpoint already has one, as the agent of 26.6 does (seen). */
export function insertSubscription(context: Context, fields: SubscriptionFields): SubscriptionRow {
  const uid = context.id();
  const at = context.timestamp();
  context.db.run(
    "INSERT INTO subscription (uid, name, endpoint_id, event_types, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
    uid,
    fields.name,
    fields.endpoint_id,
    JSON.stringify(fields.event_types),
    at,
    at,
  );
  return requireSubscription(context, uid);
}

/** Changes only the given fields; returns the changed row. */
export function updateSubscription(
  context: Context,
  uid: string,
  fields: { name?: string; event_types?: string[] },
): SubscriptionRow {
  const now = requireSubscription(context, uid);
  context.db.run(
    "UPDATE subscription SET name = ?, event_types = ? WHERE uid = ?",
    fields.name ?? now.name,
    fields.event_types ? JSON.stringify(fields.event_types) : now.event_types,
    uid,
  );
  return requireSubscription(context, uid);
}

/** Deletes a subscription; refuses with 404 if there is none. */
export function deleteSubscription(context: Context, uid: string): void {
  requireSubscription(context, uid);
  context.db.run("UPDATE subscription SET deleted_at = ? WHERE uid = ?", context.timestamp(), uid);
}
