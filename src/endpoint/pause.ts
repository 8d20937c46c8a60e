/** Pausing and activating an endpoint: Convoy's call is a toggle that discards (docs/design.md, section 7). */
import { CONVOY_CACHE_MS, RECOVERY_WINDOW_MS } from "../config.ts";
import type { Answer, Convoy, Failure } from "../convoy/client.ts";
import { retryBatch } from "../convoy/deliveries.ts";
import { activateInactive, isEndpointMissing, togglePause } from "../convoy/endpoints.ts";
import { recoverDiscarded } from "./recovery-table.ts";
import { type EndpointRow, endClaim, findEndpoint } from "./table.ts";
import { claim, type Result, readEndpoint, recordSeen, trouble } from "./update.ts";

/**
 * Pauses the endpoint, or activates it and resends what was discarded in the meantime. The change of
 * status is claimed in D1 first: a request that does not get the row makes no call, so two callers
 * cannot toggle twice. Until Convoy has accepted the resend, the status is `activating`, and the cron
 * continues.
 * @throws StorageError
 */
export async function setPaused(
  db: D1Database,
  convoy: Convoy,
  row: EndpointRow,
  paused: boolean,
): Promise<Result<EndpointRow>> {
  const claimed = await claim(db, row, paused ? "pausing" : "activating");
  if (!claimed.ok) return claimed;
  const failure = await finishMove(db, convoy, claimed.value, row.status === "active");
  if (failure) {
    return trouble(isEndpointMissing(failure) ? { kind: "gone" } : { kind: "refused", failure });
  }
  const after = await findEndpoint(db, row.owner, row.id);
  return after ? { ok: true, value: after } : trouble({ kind: "removed" });
}

/**
 * Continues with an endpoint that is `pausing` or `activating`, from wherever it was left.
 * @param claimed the endpoint, which is ours
 * @param wasActive the record said active before: if Convoy says so too, nothing was discarded
 * @returns Convoy's failure, if the endpoint does not have its new status yet
 * @throws StorageError
 */
export async function finishMove(
  db: D1Database,
  convoy: Convoy,
  claimed: EndpointRow,
  wasActive = false,
): Promise<Failure | null> {
  const wanted = claimed.status === "pausing" ? "paused" : "active";
  const read = await readEndpoint(convoy, claimed.id);
  if (!read.ok) {
    // Removed in Convoy's dashboard, or another project's key: `missing` until a call sees it again.
    if (isEndpointMissing(read.failure)) await recordSeen(db, convoy, claimed, null);
    return read.failure;
  }
  const moved = await makeStatus(convoy, claimed.id, read.item.status, wanted);
  if (moved && !moved.ok) return moved;
  const now = Date.now();
  if (wanted === "paused") {
    // Or inactive: Convoy gave up on it, and there is nothing to pause.
    const status = read.item.status === "inactive" ? "inactive" : "paused";
    await endClaim(db, claimed, { status }, now);
    return null;
  }
  if (wasActive && !moved) {
    await endClaim(db, claimed, { status: "active" }, now);
    return null;
  }
  const since = claimed.paused_at ?? now;
  const retried = await retryBatch(convoy, {
    endpointIds: [claimed.id],
    status: "Discarded",
    fromMs: since - RECOVERY_WINDOW_MS,
    toMs: Date.now(),
  });
  if (!retried.ok) {
    // One batch per project at a time: the cron retries it. The endpoint itself is already active.
    await endClaim(db, claimed, { due_at: now + 1 }, now);
    return null;
  }
  // Convoy before v26.7.3 keeps discarding for some time (facts).
  const later = { since, now, action: "look", due: now + CONVOY_CACHE_MS } as const;
  const recovery = recoverDiscarded(convoy.projectId, claimed.id, later);
  await endClaim(db, claimed, { status: "active", paused_at: null }, now, recovery);
  return null;
}

/** Null if there is nothing to do: toggling an endpoint that is already as wanted would undo that. */
async function makeStatus(
  convoy: Convoy,
  id: string,
  status: string,
  wanted: "paused" | "active",
): Promise<Answer<unknown> | null> {
  if (status === wanted) return null;
  if (status !== "inactive") return togglePause(convoy, id);
  return wanted === "paused" ? null : activateInactive(convoy, id);
}
