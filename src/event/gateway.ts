/** Judging failures by evidence: whose fault is it, the event's or the gateway's? (docs/design.md, 5) */
import type { Outcome } from "./outcome.ts";

/** What one run has seen of the gateway. */
export type Gateway = {
  /** Whether to go on posting; false once two different events failed in a row, or Convoy asked for time. */
  open: () => boolean;
  /** Whether any event got through in this run: only then is a failure an event's own fault. */
  proven: () => boolean;
  /** Convoy's Retry-After, in ms; null where it gave none. */
  retryAfterMs: () => number | null;
  /** Whether this failed event stands among the failures that mean the gateway. */
  isSuspect: (id: string) => boolean;
  /** Takes in what happened to events that were posted at the same time. */
  see: (seen: { id: string; outcome: Outcome }[]) => void;
};

/** A gateway of which nothing is known yet. */
export function newGateway(): Gateway {
  let proven = false;
  let asked: number | null = null;
  // Events that failed since the last success.
  let streak = new Set<string>();
  return {
    open: () => asked === null && streak.size < 2,
    proven: () => proven,
    retryAfterMs: () => asked,
    isSuspect: (id) => (asked !== null || streak.size >= 2) && streak.has(id),
    see(seen) {
      const accepted = seen.some(({ outcome }) => outcome.kind === "accepted");
      if (accepted) {
        // They were under way together: one success vouches for all of them.
        proven = true;
        streak = new Set();
      }
      for (const { id, outcome } of seen) {
        if (outcome.kind !== "failed") continue;
        if (outcome.retryAfterMs !== null) asked = Math.max(asked ?? 0, outcome.retryAfterMs);
        if (!accepted || outcome.retryAfterMs !== null) streak.add(id);
      }
    },
  };
}
