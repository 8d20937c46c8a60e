/** What a caller is told when Convoy does not do what an endpoint route asked of it. */
import type { HTTPException } from "hono/http-exception";
import type { Failure } from "../convoy/client.ts";
import { mendableReason, shownReason } from "../convoy/reasons.ts";
import { problem, unavailable } from "../http.ts";

/**
 * The error to throw for a failed answer: 400 where the caller can mend it, 503 where waiting helps,
 * 502 where only the operator can.
 */
export function refusal(answer: Failure): HTTPException {
  const reason = mendableReason(answer);
  if (reason) return problem(400, `Convoy refused the endpoint: ${reason}.`);
  const shown = shownReason(answer);
  if (answer.status === null || answer.status === 429 || answer.status >= 500) {
    const retryS = Math.ceil((answer.retryAfterMs ?? 5_000) / 1_000);
    return unavailable(`${shown}. Try again.`, { "Retry-After": String(retryS) });
  }
  const hint = answer.status === 401 || answer.status === 403 ? ": check CONVOY_API_KEY" : "";
  return problem(502, `${shown}${hint}. The operator of this API has to look at it.`);
}
