/** What a crash scenario is, and helpers for its setup. */
import { type Actor, createActor } from "../support/actors.ts";
import { cutBefore } from "../support/breaks.ts";
import { goOnUntil, pass } from "../support/virtual-clock.ts";
import type { World } from "../support/world.ts";

/** `route`: as Hono names it, or `cron`. `act` begins the invocation that is broken at each of its steps. */
export type Scenario = {
  route: string;
  name: string;
  setup: (world: World) => Promise<void>;
  act: (world: World, actor: Actor) => void;
  /** Concurrent invocations in the same isolate, which are not broken. */
  company?: (world: World, begin: () => Actor) => void;
  /** A put landed after its lease, which only the scrub can notice. */
  late?: boolean;
  /** What the caller does in the end if the call came to nothing; true if it did anything. */
  again?: (world: World) => Promise<boolean>;
};

/** Where webhooks go: not this machine, so that the local Convoy keeps them. */
export const WEBHOOK_URL = "https://webhook.test/hook";

/** Creates an endpoint. */
export async function anEndpoint(world: World, name = "one"): Promise<void> {
  await world.ask("POST", "/endpoint", { name, url: `${WEBHOOK_URL}/${name}` });
}

/** Creates an endpoint and a todo, and lets enough time pass for every cache to expire. */
export async function aTodo(world: World): Promise<void> {
  await anEndpoint(world);
  await world.ask("POST", "/todo", { id: 1, item: "milk" });
  await world.cron();
  await pass(70_000);
}

/** The id of the first endpoint. */
export function endpointId(world: World): string {
  const made = world.calls.find(({ url, method }) => method === "POST" && url === "/endpoint");
  return String(made?.answer?.["Endpoint ID"]);
}

/** A call that is cut off before its `nth` step of a kind, such as `KV put`. */
export async function cutCall(
  world: World,
  [kind, nth]: [string, number?],
  ...call: [method: string, url: string, body?: Record<string, unknown>]
): Promise<void> {
  const cut = cutBefore(kind, nth);
  const actor = createActor(world.stores, cut.around);
  world.call(actor, ...call);
  await goOnUntil(() => cut.over() || actor.idle());
  if (!cut.over()) throw new Error(`${call[0]} ${call[1]} has no step ${kind}`);
}

/** Lets time pass until this minute of the hour. */
export async function passToMinute(minute: number): Promise<void> {
  const hour = 3_600_000;
  const ahead = (minute * 60_000 - (Date.now() % hour) + hour) % hour;
  await pass(ahead);
}
