// What the agent, which creates and sends deliveries, knows about endpoints and subscriptions. The agent of 26.6
// rarely reads them, and the API does not notify it of changes (seen): for up to two minutes a pause has no effect,
// an endpoint that is active again still counts as paused, the old URL is used, and a new secret does not sign.
import type { Context } from "./context.ts";
import { type EndpointRow, findEndpoint } from "./store/endpoints.ts";
import { livingSubscriptions, type SubscriptionRow } from "./store/subscriptions.ts";

/** The endpoint as the agent knows it: of a deleted one, too, what it read before. */
export function agentEndpoint(context: Context, uid: string): EndpointRow | undefined {
  return context.agent.endpoints.through(uid, () => findEndpoint(context, uid));
}

/** The endpoint's undeleted subscriptions as the agent knows them, oldest first; an empty list is not remembered. */
export function agentSubscriptions(context: Context, endpointId: string): SubscriptionRow[] {
  const known = context.agent.subscriptions.through(endpointId, () => {
    const rows = livingSubscriptions(context, endpointId);
    return rows.length > 0 ? rows : undefined;
  });
  return known ?? [];
}
