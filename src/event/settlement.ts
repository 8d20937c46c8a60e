/** From what Convoy said of an event to what the log records. */
import { BACKOFF_MAX_MS, BACKOFF_MIN_MS, type DeliverySettings } from "../config.ts";
import type { OutboxRow, Settlement } from "./outbox.ts";
import type { Outcome } from "./outcome.ts";

/** The fields of a row that a settlement starts from. */
export type Held = Pick<
  OutboxRow,
  "seq" | "lease" | "attempts" | "replays" | "accepted_at" | "occurred_at" | "state" | "error"
>;

/**
 * `blame`: whether a failure counts against the event, since another one got through in the same run.
 * `retryMs`: when to try again if it does not count and Convoy named no time.
 */
export type Judgement = { blame: boolean; retryMs: number };

/** What the log records of an event that was posted. */
export function settlementOf(
  row: Held,
  outcome: Outcome,
  judgement: Judgement,
  settings: DeliverySettings,
  now: number,
): Settlement {
  const { seq, lease, attempts, replays } = row;
  const same = { seq, lease, attempts, replays, accepted_at: null };
  switch (outcome.kind) {
    case "accepted":
      return {
        ...same,
        state: "accepted",
        error: null,
        accepted_at: now,
        due_at: settings.audit ? now + settings.auditDelayMs : null,
      };
    case "dead":
      return { ...same, state: "dead", error: outcome.error, due_at: null };
    case "failed": {
      const pending = { ...same, state: "pending" as const, error: outcome.error };
      if (!judgement.blame) {
        return { ...pending, due_at: now + (outcome.retryAfterMs ?? judgement.retryMs) };
      }
      const tries = attempts + 1;
      const old = now - row.occurred_at >= settings.maxAgeMs;
      if (tries >= settings.maxTries && old) {
        return { ...pending, state: "dead", attempts: tries, due_at: null };
      }
      const wait = outcome.retryAfterMs ?? backoff(tries);
      return { ...pending, attempts: tries, due_at: now + wait };
    }
  }
}

/** A row handed back as it was, due at `dueAt`; null: nothing is left to do. */
export function handBack(row: Held, dueAt: number | null): Settlement {
  const { seq, lease, attempts, replays, accepted_at, state, error } = row;
  return { seq, lease, attempts, replays, accepted_at, state, error, due_at: dueAt };
}

/** Wait before try `tries` + 1: doubled each time, with jitter so that a backlog does not come at once. */
export function backoff(tries: number): number {
  const full = Math.min(BACKOFF_MIN_MS * 2 ** (tries - 1), BACKOFF_MAX_MS);
  // Whole: the log's columns take no fraction.
  return Math.round(full / 2 + Math.random() * (full / 2));
}
