/** What the log tells of endpoints (src/outbox/endpoints.ts), as statements on their records. */
import { convoyOf } from "../convoy/client.ts";
import { ensureSubscription } from "../convoy/endpoints.ts";
import type { Endpoints } from "../outbox/endpoints.ts";
import { makeDue } from "./table.ts";

// `there` follows at once, so that nothing more is posted to one that discards; reconcile finds out the rest.
const SEEN = `
UPDATE endpoint SET there = iif(s.value ->> 'active', 'active', 'inactive'), due_at = ?2, updated_at = ?2
FROM json_each(?1) AS s WHERE endpoint.id = s.value ->> 'endpointId' AND endpoint.wanted IN ('active', 'paused')
  AND iif(s.value ->> 'active', endpoint.there <> 'active', endpoint.there = 'active')`;

const REPORTED = `
UPDATE endpoint SET failing_error = r.error, failing_since = iif(r.error IS NULL, NULL, coalesce(failing_since, r.at))
FROM (SELECT value ->> 'endpointId' AS id, value ->> 'at' AS at, value ->> 'error' AS error FROM json_each(?1)) AS r
WHERE endpoint.id = r.id AND endpoint.failing_error IS NOT r.error`;

/** The records' side of the log. */
export const endpointHooks: Endpoints = {
  seen: (seen, now) => [SEEN, JSON.stringify(seen), now],
  doubted: (endpointIds, now) => makeDue(endpointIds, now),
  reported: (reports) => {
    // Of each endpoint the last one counts.
    const last = new Map(reports.map((one) => [one.endpointId, one]));
    return [REPORTED, JSON.stringify([...last.values()])];
  },
  async subscribe(env, endpointId) {
    const made = await ensureSubscription(convoyOf(env), endpointId, endpointId);
    return made.ok ? made.data : "unknown";
  },
};
