// Subscriptions: which event types an endpoint wants. Without one it gets nothing.
import type { Context } from "../context.ts";
import { Refusal } from "../envelope.ts";
import { requireEndpoint } from "./endpoints.ts";

/** The fields of a new subscription; `event_types` is JSON of string[]. */
export type SubscriptionFields = { name: string; endpoint_id: string; event_types: string };

export type SubscriptionRow = SubscriptionFields & {
  uid: string;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
};

/** The subscription; refuses with 404 (recorded). */
export function requireSubscription(context: Context, uid: string): SubscriptionRow {
  const row = context.db.find<SubscriptionRow>("subscription", uid);
  if (row?.deleted_at !== null) throw new Refusal(404, "failed to find subscription");
  return row;
}

/** The undeleted subscriptions of an endpoint, oldest first. */
export function livingSubscriptions(context: Context, endpointId: string): SubscriptionRow[] {
  return context.db.all<SubscriptionRow>(
    "SELECT * FROM subscription WHERE endpoint_id = ? AND deleted_at IS NULL ORDER BY uid",
    endpointId,
  );
}

export function wants(row: SubscriptionRow, eventType: string): boolean {
  const types = JSON.parse(row.event_types) as string[];
  return types.includes("*") || types.includes(eventType);
}

/** Creates a subscription; refuses if the endpoint is missing or already has one (recorded). */
export function createSubscription(context: Context, fields: SubscriptionFields): SubscriptionRow {
  const missing = { status: 400, message: "failed to find endpoint by id" };
  requireEndpoint(context, fields.endpoint_id, missing);
  if (livingSubscriptions(context, fields.endpoint_id).length > 0)
    throw new Refusal(400, "a subscription for this endpoint already exists");
  return insertSubscription(context, fields);
}

/** Creates a subscription even if the endpoint already has one, as the agent of 26.6 does (seen). */
export function insertSubscription(context: Context, fields: SubscriptionFields): SubscriptionRow {
  const at = context.timestamp();
  const row = { uid: context.id(), ...fields, created_at: at, updated_at: at, deleted_at: null };
  context.db.insert("subscription", row);
  return row;
}
