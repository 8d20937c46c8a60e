/** The audit: Convoy's 201 is no proof, its own list is (docs/design.md, section 5). */

import type { Budget } from "../budget.ts";
import {
  AUDIT_CLAIM_MAX,
  AUDIT_PAGE,
  CLOCK_SKEW_MS,
  GATEWAY_RETRY_MS,
  LEASE_MS,
} from "../config.ts";
import type { Convoy } from "../convoy/client.ts";
import { type ConvoyEventRecord, listEvents, listEventsOfKey } from "../convoy/events.ts";
import { idempotencyKey } from "./message.ts";
import { claim, type OutboxRow, type Settlement, settle } from "./outbox.ts";
import { backoff, handBack } from "./settlement.ts";
import type { Sweep } from "./sweep.ts";

/** What one audit did; `calls`: requests to Convoy. */
export type AuditReport = { checked: number; confirmed: number; reposted: number; calls: number };

/** Convoy's word on a key: the record that counts, `duplicate` where only repeats of it are listed. */
type Listed = ConvoyEventRecord | "duplicate";
type Listing = { byKey: Map<string, Listed>; complete: boolean; calls: number };

const UNASKED: Listing = { byKey: new Map(), complete: true, calls: 0 };
const NO_SUBSCRIBER = "no subscription matched this event";

/**
 * Looks the accepted events up in Convoy's list: confirms what is done, posts again what Convoy forgot.
 * @throws StorageError where D1 does not answer
 */
export async function audit(run: Sweep): Promise<AuditReport> {
  const report = { checked: 0, confirmed: 0, reposted: 0, calls: 0 };
  const { env, settings, budget, gateway, convoy } = run;
  if (!convoy) return report;
  // Claim, a page, settle: less is not worth beginning.
  while (gateway.open() && budget.take(1, 2)) {
    const now = Date.now();
    const when = { now, lease: now + LEASE_MS, limit: AUDIT_CLAIM_MAX };
    const rows = await claim(env.DB, "audit", when);
    if (rows.length === 0) break;
    // Switched off: whatever still waits for an audit is taken at Convoy's word.
    const listing = settings.audit ? await listKeys(convoy, rows, budget) : UNASKED;
    const settlements = rows.map((row) =>
      settings.audit ? verdict(row, listing, run) : handBack(row, null),
    );
    report.checked += rows.length;
    report.calls += listing.calls;
    report.confirmed += settlements.filter((s) => s.state === "confirmed").length;
    report.reposted += settlements.filter((s) => s.state === "pending").length;
    if (budget.take(1)) await settle(env.DB, settlements, { now, unstoredDueAt: now });
    if (!listing.complete || rows.length < AUDIT_CLAIM_MAX) break;
  }
  return report;
}

/** Pages through Convoy's list from the oldest acceptance to now; what looks like a repeat is looked up by its key. */
async function listKeys(convoy: Convoy, rows: OutboxRow[], budget: Budget): Promise<Listing> {
  const byKey = new Map<string, Listed>();
  const listing = (complete: boolean) => ({ byKey, complete, calls });
  const fromMs = Math.min(...rows.map((row) => row.accepted_at ?? Date.now())) - CLOCK_SKEW_MS;
  const toMs = Date.now() + CLOCK_SKEW_MS;
  const wanted = new Set(rows.map(idempotencyKey));
  let calls = 0;
  let cursor: string | undefined;
  do {
    if (!budget.take(1, 1)) return listing(false);
    calls++;
    const page = await listEvents(convoy, { perPage: AUDIT_PAGE, cursor, fromMs, toMs });
    if (!page.ok) return listing(false);
    // Another project's list: the key is wrong, and what it says of our keys means nothing.
    if (page.data.items.some((item) => item.project_id !== convoy.projectId)) return listing(false);
    for (const record of page.data.items) note(byKey, record);
    cursor = page.data.next ?? undefined;
  } while (cursor && ![...wanted].every((key) => isRecord(byKey.get(key))));
  for (const key of wanted) {
    // The one it repeats is older than the window: it was posted again by an earlier audit.
    if (byKey.get(key) !== "duplicate") continue;
    if (!budget.take(1, 1)) return listing(false);
    calls++;
    const found = await listEventsOfKey(convoy, key);
    if (!found.ok) return listing(false);
    for (const record of found.data.items) note(byKey, record);
  }
  return listing(true);
}

function note(byKey: Map<string, Listed>, record: ConvoyEventRecord): void {
  const key = record.idempotency_key;
  if (!record.is_duplicate_event) byKey.set(key, record);
  else if (!byKey.has(key)) byKey.set(key, "duplicate");
}

function isRecord(listed: Listed | undefined): listed is ConvoyEventRecord {
  return listed !== undefined && listed !== "duplicate";
}

function verdict(row: OutboxRow, { byKey, complete }: Listing, { settings }: Sweep): Settlement {
  const now = Date.now();
  const listed = byKey.get(idempotencyKey(row));
  const { seq, lease, attempts, replays, accepted_at } = row;
  const same = { seq, lease, attempts, replays, accepted_at, error: null };
  const status = isRecord(listed) ? listed.status : null;
  const reason = isRecord(listed) ? listed.failure_reason : undefined;
  if (status === "Success") return { ...same, state: "confirmed", due_at: null };
  if (status === "Failure") {
    const nobodyListens = reason === NO_SUBSCRIBER;
    if (nobodyListens && row.endpoint_id === null) {
      return { ...same, state: "confirmed", due_at: null };
    }
    // Other reasons of Convoy may name hosts or users.
    const error = nobodyListens ? `Convoy: ${NO_SUBSCRIBER}` : "Convoy could not process the event";
    return { ...same, state: "dead", error, due_at: null };
  }
  if (!listed && !complete) return { ...same, state: "accepted", due_at: now + GATEWAY_RETRY_MS };
  const patientUntil = (accepted_at ?? now) + settings.auditPatienceMs;
  if (now < patientUntil) return { ...same, state: "accepted", due_at: patientUntil };
  return {
    ...same,
    state: "pending",
    accepted_at: null,
    // Listed, but never finished: only a new key makes Convoy take it again.
    replays: replays + (listed ? 1 : 0),
    attempts: attempts + 1,
    error: listed ? "Convoy listed it, but did not finish it" : "Convoy accepted it, but forgot it",
    due_at: attempts === 0 ? now : now + backoff(attempts),
  };
}
