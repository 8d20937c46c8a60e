/** What becomes of the deliveries of an endpoint that is removed. */
import type { Statement } from "../storage.ts";

const DEAD =
  "UPDATE delivery SET status = 'dead', due_at = NULL, finished_at = ?3, error = 'The endpoint was removed.'";

/**
 * Sets all that an endpoint has not got yet dead: for the transaction that removes its record. Success that is seen
 * later still counts.
 */
export function deadOfEndpoint(owner: string, endpointId: string, now: number): Statement[] {
  return [
    // Served by delivery_pending and delivery_sending; delivery_held.
    ...["pending", "sending"].map(
      (status): Statement => [
        `${DEAD} WHERE owner = ?1 AND endpoint_id = ?2 AND status = '${status}'`,
        ...[owner, endpointId, now],
      ],
    ),
    [
      `${DEAD} WHERE ?1 = owner AND endpoint_id = ?2 AND status = 'held'`,
      ...[owner, endpointId, now],
    ],
  ];
}
