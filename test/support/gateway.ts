/** A gateway that answers as a test scripts it, and what the log is told by and tells others. */
import type { Run } from "../../src/outbox/cron-run.ts";
import type { Endpoints, Reported } from "../../src/outbox/endpoints.ts";
import type {
  Attempts,
  Found,
  Gateway,
  GatewayDelivery,
  Listed,
  Post,
  Posted,
  Window,
} from "../../src/outbox/gateway.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";
import { type Registry, registryOf } from "../../src/outbox/resource.ts";
import { keyOf } from "../../src/outbox/rows.ts";
import type { Bindings, Settings } from "../../src/settings.ts";
import { eventIdOf } from "./log-rows.ts";
import { part, thing } from "./thing.ts";

/** What it answers; by default it accepts, lists nothing, and has nothing. */
export type Script = {
  post?: ((post: Post) => Posted | Promise<Posted>) | undefined;
  list?: ((window: Window) => Listed | Promise<Listed>) | undefined;
  find?: ((key: string, endpointId: string) => Found | Promise<Found>) | undefined;
  attempts?: ((id: string) => Attempts | Promise<Attempts>) | undefined;
};

/** The gateway, and what it was asked. */
export type ScriptedGateway = Gateway & { posts: Post[]; windows: Window[]; found: string[] };

/** A gateway with this script. */
export function scriptedGateway(script: Script = {}): ScriptedGateway {
  const posts: Post[] = [];
  const windows: Window[] = [];
  const found: string[] = [];
  return {
    posts,
    windows,
    found,
    async post(one) {
      posts.push(one);
      return (await script.post?.(one)) ?? { kind: "accepted" };
    },
    async list(window) {
      windows.push(window);
      return (await script.list?.(window)) ?? page();
    },
    async find(key, endpointId) {
      found.push(key);
      return (await script.find?.(key, endpointId)) ?? { kind: "none" };
    },
    attempts: async (id) => (await script.attempts?.(id)) ?? { kind: "attempts", attempts: [] },
  };
}

/** The last page of its list, with these deliveries. */
export function page(...deliveries: GatewayDelivery[]): Extract<Listed, { kind: "page" }> {
  return { kind: "page", deliveries, next: null };
}

/** What it lists of the `seq`-th event's delivery to an endpoint; by default it has arrived there. */
export function listed(
  seq: number,
  {
    endpointId = "a1",
    version = 0,
    ...given
  }: Partial<GatewayDelivery> & { version?: number } = {},
): GatewayDelivery {
  const key = keyOf(eventIdOf(seq), endpointId, version);
  const times = { nextTryAt: null, createdAt: 50, updatedAt: 60 };
  const state = { progress: "success" as const, attempts: 1, endpointActive: true };
  return { id: `at-${key}`, key, endpointId, ...state, ...times, ...given };
}

/** What those who keep the endpoints were told. */
export type Told = {
  seen: { endpointId: string; active: boolean }[];
  doubted: string[];
  reported: Reported[];
  subscribed: string[];
};

/** Endpoints that note what they are told, in memory and, to show that it is run, in `cron_state.last_report`. */
export function notedEndpoints(
  subscribe: Endpoints["subscribe"] = async () => "subscribed",
): Endpoints & { told: Told } {
  const told: Told = { seen: [], doubted: [], reported: [], subscribed: [] };
  const statement = (what: string): [string, string] => [
    "UPDATE cron_state SET last_report = coalesce(last_report || ' ', '') || ?1",
    what,
  ];
  return {
    told,
    seen(seen) {
      told.seen.push(...seen);
      return statement("seen");
    },
    doubted(ids) {
      told.doubted.push(...ids);
      return statement("doubted");
    },
    reported(reports) {
      told.reported.push(...reports);
      return statement("reported");
    },
    subscribe(env, endpointId) {
      told.subscribed.push(endpointId);
      return subscribe(env, endpointId);
    },
  };
}

/** An outbox of nouns that exist only in tests. */
export function outboxOf(
  gateway: Gateway,
  endpoints: Endpoints = notedEndpoints(),
  resources: Registry = registryOf([thing, part]),
): Outbox {
  return { resources, connect: () => gateway, endpoints };
}

/** A run of the cron with that gateway. */
export function runOf<G extends Gateway>(
  env: Bindings,
  gateway: G,
  { endpoints = notedEndpoints(), ...settings }: Partial<Settings> & { endpoints?: Endpoints } = {},
): Run & { gateway: G } {
  const some = { walkDelayMs: 0, subrequestBudget: 1_000, hands: 0, ...settings };
  return { env, gateway, outbox: outboxOf(gateway, endpoints), settings: some as Settings };
}
