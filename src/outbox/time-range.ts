/** Parts of the log between two times: event ids sort by time, sequences nearly so. */
import { v7 as uuidv7 } from "uuid";

/** `since` <= occurred_at < `until`, in ms. */
export type TimeRange = { since?: number | undefined; until?: number | undefined };

/** A time (ms) as the API says it. */
export function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** As `iso`; null stays null. */
export function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : iso(ms);
}

/** The smallest event id for a time (ms). */
export function idAt(ms: number): string {
  return uuidv7({ msecs: Math.max(0, ms), seq: 0, random: new Uint8Array(16) });
}

// An event is written at most this long after its time: the longest that a commit is tried.
const SLACK_MS = 120_000;
const LAST_ID = "~";

/** Event ids that bound all events of a time range: values for `inRange`. */
export function idsOf({ since, until }: TimeRange): [from: string, to: string] {
  return [
    since === undefined ? "" : idAt(since - SLACK_MS),
    until === undefined ? LAST_ID : idAt(until + SLACK_MS),
  ];
}

/**
 * SQL: a sequence lies between the last event before one id and the first after another: requests at once may commit in
 * another order than their ids have. Each bound is one step of the unique index on event.id.
 */
export function inRange(seq: string, from: string, to: string): string {
  return `${seq} > coalesce((SELECT seq FROM event WHERE id < ${from} ORDER BY id DESC LIMIT 1), 0)
    AND ${seq} <= coalesce((SELECT seq FROM event WHERE id > ${to} ORDER BY id LIMIT 1), ${Number.MAX_SAFE_INTEGER})`;
}
