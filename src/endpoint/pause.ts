/** Pausing and activating an endpoint: Convoy's call is a toggle that discards (docs/design.md, section 7). */
import { type Bindings, CLOCK_SKEW_MS, DISCARD_WINDOW_MS } from "../config.ts";
import { type Answer, type Convoy, convoyOf, type Failure } from "../convoy/client.ts";
import { retryDiscarded } from "../convoy/deliveries.ts";
import {
  activateInactive,
  getEndpoint,
  isEndpointMissing,
  togglePause,
} from "../convoy/endpoints.ts";
import { problem } from "../http.ts";
import { refusal } from "./refusal.ts";
import { type EndpointRow, type EndpointStatus, findEndpoint, moveStatus } from "./table.ts";

/**
 * Pauses the owner's endpoint. The change of status is claimed in D1 first: who did not get the row
 * does not call, so that two callers cannot toggle twice.
 * @returns the record after it, or null where the owner has no such endpoint
 * @throws HTTPException 409 where its status does not allow it, 502 or 503 where Convoy does not; StorageError
 */
export function pause(env: Bindings, owner: string, id: string): Promise<EndpointRow | null> {
  return move(env, owner, id, { from: ["active"], by: "pausing", to: "paused" });
}

/**
 * Activates the owner's endpoint and brings back what was discarded meanwhile. Until Convoy has taken
 * that, its status is `activating`, and the cron goes on.
 * @returns the record after it, or null where the owner has no such endpoint
 * @throws HTTPException 409 where its status does not allow it, 502 or 503 where Convoy does not; StorageError
 */
export function activate(env: Bindings, owner: string, id: string): Promise<EndpointRow | null> {
  return move(env, owner, id, { from: ["paused", "inactive"], by: "activating", to: "active" });
}

type Move = { from: EndpointStatus[]; by: "pausing" | "activating"; to: "paused" | "active" };

async function move(env: Bindings, owner: string, id: string, { from, by, to }: Move) {
  const convoy = convoyOf(env);
  const known = await findEndpoint(env.DB, owner, id);
  if (!known || known.status === to) return known;
  const now = Date.now();
  const pausedAt = by === "pausing" ? { pausedAt: now } : {};
  const claimed = await moveStatus(env.DB, owner, id, { from, to: by, now, ...pausedAt });
  if (!claimed) {
    const { status } = (await findEndpoint(env.DB, owner, id)) ?? known;
    throw problem(409, `The endpoint is ${status}: it cannot become ${to} now. Try again shortly.`);
  }
  const failed = await finishMove(env, convoy, claimed);
  if (failed) throw refusal(failed);
  return findEndpoint(env.DB, owner, id);
}

/**
 * Goes on with an endpoint that is `pausing` or `activating`, from wherever it was left.
 * @returns Convoy's failure that stopped it, where the endpoint does not have its new status yet
 * @throws StorageError
 */
export async function finishMove(
  env: Bindings,
  convoy: Convoy,
  row: EndpointRow,
): Promise<Failure | null> {
  const end = (to: EndpointStatus, more: { pausedAt?: null } = {}) =>
    moveStatus(env.DB, row.owner, row.id, { from: [row.status], to, now: Date.now(), ...more });
  const wanted = row.status === "pausing" ? "paused" : "active";
  const answer = await makeStatus(convoy, row.id, wanted);
  if (!answer.ok) {
    // Removed in the portal, or another project's key: reconcile brings it back if it comes back.
    if (isEndpointMissing(answer)) await end("missing");
    return answer;
  }
  if (wanted === "paused") {
    // Or inactive: Convoy gave it up, and there is nothing to pause.
    await end(answer.data);
    return null;
  }
  const now = Date.now();
  const since = (row.paused_at ?? now - DISCARD_WINDOW_MS) - CLOCK_SKEW_MS;
  const retried = await retryDiscarded(convoy, row.id, since, now + CLOCK_SKEW_MS);
  // One batch a project at a time: the cron repeats it. The endpoint itself is active already.
  if (retried.ok) await end("active", { pausedAt: null });
  return null;
}

/** Reads the real status first: a toggle from the wrong side would undo what is wanted. */
async function makeStatus(
  convoy: Convoy,
  id: string,
  wanted: "paused" | "active",
): Promise<Answer<"paused" | "active" | "inactive">> {
  const read = await getEndpoint(convoy, id);
  if (!read.ok) return read;
  const { status } = read.data;
  if (status === wanted) return { ...read, data: wanted };
  if (status === "inactive" && wanted === "paused") return { ...read, data: status };
  const moved = await (status === "inactive"
    ? activateInactive(convoy, id)
    : togglePause(convoy, id));
  return moved.ok ? { ...moved, data: wanted } : moved;
}
