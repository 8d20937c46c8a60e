/** Whether the gateway took anything of others since a delivery last failed: only then is the failure its own. */
import { all } from "../storage.ts";
import type { DeliveryRow } from "./rows.ts";

/** What one run has seen, and, looked at once if need be, what requests and earlier runs have. */
export type Evidence = {
  accepted: (row: Pick<DeliveryRow, "owner" | "endpoint_id">, at: number) => void;
  /** Whether something of another owner was accepted after `since`; if there is no other, of another endpoint. */
  othersGotThrough: (
    row: Pick<DeliveryRow, "owner" | "endpoint_id">,
    since: number,
  ) => Promise<boolean>;
};

// Deliveries that are looked at, newest first: whose they are, and when they were accepted.
const NEWEST = `
SELECT owner, endpoint_id, max(accepted_at) AS at FROM (
  SELECT owner, endpoint_id, accepted_at FROM delivery ORDER BY event_seq DESC LIMIT 1000
) GROUP BY owner, endpoint_id`;

type Newest = Pick<DeliveryRow, "owner" | "endpoint_id"> & { at: number | null };

/** @param mayLook whether there is a subrequest to spare for the look; if not, failures are nobody's */
export function evidenceOf(db: D1Database, mayLook: () => boolean): Evidence {
  const latest = new Map<string, Map<string, number>>();
  let look: Promise<boolean> | null = null;
  const accepted: Evidence["accepted"] = ({ owner, endpoint_id }, at) => {
    const ofOwner = latest.get(owner) ?? new Map<string, number>();
    latest.set(owner, ofOwner.set(endpoint_id, Math.max(at, ofOwner.get(endpoint_id) ?? 0)));
  };
  const lookOnce = async () => {
    if (!mayLook()) return false;
    try {
      for (const { at, ...row } of await all<Newest>(db, NEWEST)) accepted(row, at ?? 0);
      return true;
    } catch {
      return false;
    }
  };
  return {
    accepted,
    async othersGotThrough({ owner, endpoint_id }, since) {
      const others = () => [...latest].filter(([one]) => one !== owner).map(([, ends]) => ends);
      const isAfter = (ends: Map<string, number>) => [...ends.values()].some((at) => at > since);
      if (others().some(isAfter)) return true;
      look ??= lookOnce();
      if (!(await look)) return false;
      if (others().length > 0) return others().some(isAfter);
      const own = [...(latest.get(owner) ?? [])];
      return own.some(([id, at]) => id !== endpoint_id && at > since);
    },
  };
}
