// What the agent, which makes and sends deliveries, believes of endpoints and subscriptions. The agent of 26.6 reads them
// seldom, and the API does not tell it of a change (seen): for up to two minutes a pause is not in force, an endpoint that
// is active again is still taken for paused, the old URL is used, and a new secret does not sign.
import type { Context } from "./context.ts";
import { type EndpointRow, findEndpoint } from "./store/endpoints.ts";
import { livingSubscriptions, type SubscriptionRow } from "./store/subscriptions.ts";

/** The endpoint as the agent has it; a deleted one is gone at once. */
export function agentEndpoint(context: Context, uid: string): EndpointRow | undefined {
  const current = findEndpoint(context, uid);
  return current && context.agent.endpoints.through(uid, () => current);
}

/** The endpoint's living subscriptions as the agent has them, oldest first; that there are none is not remembered. */
export function agentSubscriptions(context: Context, endpointId: string): SubscriptionRow[] {
  const known = context.agent.subscriptions.through(endpointId, () => {
    const rows = livingSubscriptions(context, endpointId);
    return rows.length > 0 ? rows : undefined;
  });
  return known ?? [];
}
