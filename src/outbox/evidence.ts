/** Whether the gateway took anything of others since a delivery last failed: only then is the failure its own. */
import type { DeliveryRow } from "./rows.ts";

type Whose = Pick<DeliveryRow, "owner" | "endpoint_id">;

/** What a run has seen accepted, and when (ms); 0: never. `isWhole`: with what requests and earlier runs have. */
export type Evidence = { accepted: (Whose & { at: number })[]; isWhole: boolean };

/** SQL: deliveries that are looked at, newest first: whose they are, and when they were accepted. */
export const NEWEST = `
SELECT owner, endpoint_id, coalesce(max(accepted_at), 0) AS at FROM (
  SELECT owner, endpoint_id, accepted_at FROM delivery ORDER BY event_seq DESC LIMIT 1000
) GROUP BY owner, endpoint_id`;

/** Whether something of another owner was accepted after `since`; if there is no other, of another endpoint. */
export function othersGotThrough(
  { accepted, isWhole }: Evidence,
  { owner, endpoint_id }: Whose,
  since: number,
): boolean {
  const others = accepted.filter((one) => one.owner !== owner);
  if (others.some(({ at }) => at > since)) return true;
  if (others.length > 0 || !isWhole) return false;
  return accepted.some((one) => one.endpoint_id !== endpoint_id && one.at > since);
}
