/** What a crash scenario is, and helpers for its setup. */
import { type Actor, createActor } from "../support/actors.ts";
import { cutBefore } from "../support/breaks.ts";
import type { Excuses } from "../support/promises.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import type { Sent, World } from "../support/world.ts";

/**
 * `act` begins the invocation that is broken at each of its steps. `takes`: the step that it is about, such as `KV put`;
 * `shows`: SQL that has a row once it is done. A scenario that does not do what it says would show nothing.
 */
export type Scenario = {
  name: string;
  takes: string;
  shows?: string;
  setup: (world: World) => Promise<void>;
  act: (world: World, actor: Actor) => void;
  /** Concurrent invocations in the same isolate, which are not broken. */
  company?: (world: World, begin: () => Actor) => void;
  /** A put landed after its lease, which only the scrub can notice. */
  late?: boolean;
  /** What the caller does in the end if the call came to nothing; true if it did anything. */
  again?: (world: World) => Promise<boolean>;
  /** What may remain. */
  excuses?: Excuses;
};

/** Longer than a lease. */
export const LEASE_OVER_MS = 95_000;
export const MINUTE_MS = 60_000;
export const DAY_MS = 24 * 60 * MINUTE_MS;

/** Creates a thing, and lets enough time pass for it to arrive and for every cache to expire. */
export async function aThing(world: World): Promise<void> {
  await world.ask("POST", "/thing", { body: { id: 1, name: "bolt" } });
  await pass(70_000);
}

/** The id of the n-th event, from 1. */
export function eventId(world: World, n = 1): string {
  return String(world.history()[n - 1]?.id);
}

/** A call that is cut off before its `nth` step of a kind, such as `KV put`. */
export async function cutCall(
  world: World,
  [kind, nth]: [string, number?],
  ...call: [method: string, url: string, sent?: Sent]
): Promise<void> {
  const cut = cutBefore(kind, nth);
  const actor = createActor(world.stores, cut.around);
  world.call(actor, ...call);
  await goOnUntil(() => cut.over() || actor.idle());
  if (!cut.over()) throw new Error(`${call[0]} ${call[1]} has no step ${kind}`);
}

/** What is broken is a run of the cron. */
export function runCron(_world: World, actor: Actor): void {
  void actor.scheduled(Date.now());
}
