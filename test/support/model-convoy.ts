/** A model of Convoy on virtual time: takes events for one endpoint each, delivers, forgets, stalls, strands, discards. */
import type { ConvoyDouble, PostMade, Taken } from "./convoy-double.ts";
import { randomOf } from "./random.ts";
import { scheduleOf } from "./schedule.ts";

/** How it answers a post: as it should, with an error, 201 without taking it, or taking it without an answer. */
export type Mode = "ok" | "down" | "swallow" | "lost";

/** What is wrong with it; may be changed while it runs. Times in ms, shares from 0 to 1. */
export type Trouble = {
  mode: Mode;
  /** What it takes is processed only then, and nothing is sent before. */
  stalledUntil: number;
  agentUpAt: number;
  skewMs: number;
  /** Deliveries whose job is lost: they stay as they are. Of those that arrive, the ones that stay in Processing. */
  strands: number;
  processing: number;
  /** Posts whose answer is lost. */
  loses: number;
  /** The longest that it takes to process an event. */
  lagMs: number;
  /** How long after an activation deliveries are still discarded (v26.6). */
  cacheMs: number;
  /** Answers in place of its own, for all but what is down; undefined: none. */
  refuses: (post: Posted) => Response | undefined;
  list: (query: URLSearchParams) => Response | undefined;
};

/** An endpoint there; one that nobody has mentioned is active, and its receiver takes everything. */
export type EndpointThere = {
  status: "active" | "inactive" | "gone";
  activatedAt: number;
  /** Its receiver answers 500. */
  isDown: boolean;
  isSubscribed: boolean;
  rate: { requests: number; perMs: number } | null;
  sentAt: number[];
};

/** A delivery there. */
export type DeliveryThere = Taken & {
  n: number;
  createdAt: number;
  updatedAt: number;
  trials: number;
  nextAt: number;
  arrivedAt: number | null;
};

/** The model. `lists` counts calls of its lists. */
export type ModelConvoy = ConvoyDouble & {
  trouble: Trouble;
  deliveries: DeliveryThere[];
  lists: number;
  endpoint: (id: string) => EndpointThere;
  /** Sets whether it delivers to an endpoint, as Convoy does itself when a receiver fails for long. */
  setActive: (id: string, isActive: boolean) => void;
  /** Adds deliveries of other programs, which are listed, too. */
  produce: (count: number) => void;
  /** When each key of an event's delivery arrived first. */
  arrivalsOf: (eventId: string, endpointId?: string) => number[];
};

/** The parts of a post's body that matter. */
export type Posted = {
  idempotency_key: string;
  endpoint_id: string;
  event_type: string;
  data: unknown;
};

const RETRY_MS = 100_000;
const TRIALS_MAX = 10;
const SEND_MS = 200;
// An agent that stood still sends what waits within this time.
const AWAKENING_MS = 30_000;
const HEALTHY: Trouble = {
  ...{ mode: "ok", stalledUntil: 0, agentUpAt: 0, skewMs: 0, strands: 0, processing: 0 },
  ...{ loses: 0, lagMs: 3_000, cacheMs: 0, refuses: () => undefined, list: () => undefined },
};

/** A model with empty lists and nothing wrong with it but `trouble`. */
export function modelConvoy(
  trouble: Partial<Trouble> = {},
  random: () => number = randomOf(1),
): ModelConvoy {
  const schedule = scheduleOf();
  const events = new Map<string, { post: Posted; status: string }>();
  const byKey = new Map<string, DeliveryThere>();
  const byEvent = new Map<string, DeliveryThere[]>();
  const endpoints = new Map<string, EndpointThere>();

  const convoy: ModelConvoy = {
    trouble: since({ ...HEALTHY, ...trouble }),
    deliveries: [],
    posts: [],
    lists: 0,
    fetch,
    endpoint(id) {
      schedule.catchUp();
      const there = endpoints.get(id) ?? newEndpoint();
      endpoints.set(id, there);
      return there;
    },
    setActive(id, isActive) {
      const there = convoy.endpoint(id);
      there.status = isActive ? "active" : "inactive";
      if (isActive) there.activatedAt = Date.now();
    },
    async taken() {
      schedule.catchUp();
      return [...events.values()].map(({ post }) => {
        const there = byKey.get(post.idempotency_key);
        const body = JSON.stringify(post.data);
        const same = { key: post.idempotency_key, endpointId: post.endpoint_id, body };
        return { ...same, status: there?.status ?? null, arrivals: there?.arrivals ?? 0 };
      });
    },
    idle: async () => {},
    close: async () => {},
    async reset() {
      schedule.clear();
      for (const each of [events, byKey, byEvent, endpoints]) each.clear();
      const empty = { deliveries: [], posts: [] as PostMade[], lists: 0 };
      Object.assign(convoy, { trouble: since({ ...HEALTHY, ...trouble }), ...empty });
    },
    produce(count) {
      for (let i = 0; i < count; i++) {
        const key = `other-${convoy.deliveries.length}`;
        const one = add({ idempotency_key: key, endpoint_id: "other", event_type: "x", data: {} });
        Object.assign(one, { status: "Success", arrivals: 1, arrivedAt: Date.now() });
      }
    },
    arrivalsOf(eventId, endpointId) {
      schedule.catchUp();
      return (byEvent.get(eventId) ?? []).flatMap((one) => {
        const isWanted = endpointId === undefined || one.endpointId === endpointId;
        return isWanted && one.arrivedAt !== null ? [one.arrivedAt] : [];
      });
    },
  };

  /** What was due before a trouble began, or ended, is done before. */
  function since(state: Trouble): Trouble {
    return new Proxy(state, {
      set(target, name, value) {
        schedule.catchUp();
        return Reflect.set(target, name, value);
      },
    });
  }

  function add(post: Posted): DeliveryThere {
    const at = schedule.now();
    const { idempotency_key: key, endpoint_id: endpointId } = post;
    const one: DeliveryThere = {
      ...{ key, endpointId, body: JSON.stringify(post.data), n: convoy.deliveries.length },
      ...{ createdAt: at + convoy.trouble.skewMs, updatedAt: at + convoy.trouble.skewMs },
      ...{ status: "Scheduled", arrivals: 0, trials: 0, nextAt: 0, arrivedAt: null },
    };
    convoy.deliveries.push(one);
    byKey.set(key, one);
    const eventId = key.slice(0, 36);
    const ofEvent = byEvent.get(eventId) ?? [];
    byEvent.set(eventId, ofEvent);
    ofEvent.push(one);
    return one;
  }

  /** The event's job: a key makes one delivery, whatever is posted again. */
  function process(post: Posted): void {
    if (events.has(post.idempotency_key)) return;
    const isSubscribed = convoy.endpoint(post.endpoint_id).isSubscribed;
    events.set(post.idempotency_key, { post, status: isSubscribed ? "Success" : "Failure" });
    if (!isSubscribed) return;
    const one = add(post);
    schedule.at(schedule.now() + SEND_MS, () => attempt(one));
  }

  /** When it may be tried, if not now: the agent stands still, or its endpoint is over its limit. */
  function postponed(there: EndpointThere): number | null {
    const now = schedule.now();
    const { agentUpAt } = convoy.trouble;
    if (now < agentUpAt) return agentUpAt + random() * AWAKENING_MS;
    if (!there.rate) return null;
    const { requests, perMs } = there.rate;
    there.sentAt = there.sentAt.filter((at) => at > now - perMs);
    const [first] = there.sentAt;
    if (first !== undefined && there.sentAt.length >= requests)
      return first + perMs + random() * SEND_MS;
    there.sentAt.push(now);
    return null;
  }

  function attempt(one: DeliveryThere): void {
    const now = schedule.now();
    const there = convoy.endpoint(one.endpointId);
    const { skewMs, strands, processing, cacheMs } = convoy.trouble;
    // It stays Scheduled, unchanged.
    const later = postponed(there);
    if (later !== null) {
      schedule.at(later, () => attempt(one));
      return;
    }
    one.updatedAt = now + skewMs;
    if (there.status !== "active" || now < there.activatedAt + cacheMs) {
      one.status = "Discarded";
      return;
    }
    if (random() < strands) return;
    one.trials++;
    if (!there.isDown) {
      one.arrivals++;
      one.arrivedAt ??= now;
      one.status = random() < processing ? "Processing" : "Success";
    } else if (one.trials >= TRIALS_MAX) one.status = "Failure";
    else {
      one.status = "Retry";
      one.nextAt = now + RETRY_MS + skewMs;
      schedule.at(now + RETRY_MS, () => attempt(one));
    }
  }

  async function fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.pathname.replace(/^.*\/projects\/[^/]+/, "");
    if (path === "/events" && request.method === "POST")
      return post((await request.json()) as Posted);
    const body = request.method === "POST" ? ((await request.json()) as Posted) : null;
    schedule.catchUp();
    if (convoy.trouble.mode === "down") return failure(400, "outage");
    if (path === "/eventdeliveries") return list(url.searchParams);
    if (path === "/events") return listEvents(url.searchParams.get("idempotencyKey") ?? "");
    if (path === "/subscriptions" && body) {
      convoy.endpoint(body.endpoint_id).isSubscribed = true;
      return success({ uid: "s" }, 201);
    }
    const [, id] = /^\/endpoints\/([^/]+)$/.exec(path) ?? [];
    if (id === undefined) return success([]);
    const { status } = convoy.endpoint(id);
    if (status === "gone") return failure(404, "Resource not found");
    return success({ uid: id, project_id: "local", status });
  }

  function post(given: Posted): Response {
    const { idempotency_key: key, endpoint_id: endpointId } = given;
    const { mode, loses, stalledUntil, lagMs, refuses } = convoy.trouble;
    convoy.posts.push({ key, endpointId, at: Date.now() });
    if (mode === "down") return failure(400, "outage");
    const refusal = refuses(given);
    if (refusal) return refusal;
    if (convoy.endpoint(endpointId).status === "gone") return failure(400, "endpoint not found");
    if (mode !== "swallow") {
      const lag = random() * lagMs + Math.max(0, stalledUntil - Date.now());
      schedule.at(Date.now() + lag, () => process(given));
    }
    if (mode === "lost" || random() < loses) throw new TypeError("connection lost");
    return success(null, 201);
  }

  function list(query: URLSearchParams): Response {
    convoy.lists++;
    const trouble = convoy.trouble.list(query);
    if (trouble) return trouble;
    const key = query.get("idempotencyKey");
    if (key !== null) {
      if (!events.has(key)) return failure(400, "event not found");
      return page(
        [byKey.get(key)].flatMap((one) => one ?? []),
        undefined,
      );
    }
    const from = Date.parse(`${query.get("startDate")}Z`);
    const to = Date.parse(`${query.get("endDate")}Z`);
    const perPage = Number(query.get("perPage"));
    const wanted = new Set(query.getAll("endpointId"));
    const items: DeliveryThere[] = [];
    for (let n = Number(query.get("next_page_cursor") ?? 0); n < convoy.deliveries.length; n++) {
      const each = convoy.deliveries[n] as DeliveryThere;
      const fits = each.createdAt >= from && each.createdAt <= to;
      if (fits && (wanted.size === 0 || wanted.has(each.endpointId))) items.push(each);
      if (items.length > perPage) break;
    }
    return page(items.slice(0, perPage), items[perPage]);
  }

  function page(items: DeliveryThere[], next: DeliveryThere | undefined): Response {
    return success({
      content: items.map((each) => {
        const { status } = convoy.endpoint(each.endpointId);
        const iso = (ms: number) => new Date(ms).toISOString();
        return {
          ...{ uid: `d${each.n}`, project_id: "local", idempotency_key: each.key },
          ...{ endpoint_id: each.endpointId, status: each.status },
          metadata: {
            num_trials: each.trials,
            next_send_time: each.nextAt ? iso(each.nextAt) : "",
          },
          endpoint_metadata: status === "gone" ? null : { status },
          ...{ created_at: iso(each.createdAt), updated_at: iso(each.updatedAt) },
        };
      }),
      pagination: { has_next_page: next !== undefined, next_page_cursor: String(next?.n ?? "") },
    });
  }

  function listEvents(key: string): Response {
    const event = events.get(key);
    const same = { project_id: "local", idempotency_key: key, is_duplicate_event: false };
    const content = event ? [{ ...same, status: event.status }] : [];
    return success({ content, pagination: { has_next_page: false, next_page_cursor: "" } });
  }

  return convoy;
}

function newEndpoint(): EndpointThere {
  const state = { status: "active", activatedAt: Number.NEGATIVE_INFINITY } as const;
  return { ...state, isDown: false, isSubscribed: true, rate: null, sentAt: [] };
}

function success(data: unknown, status = 200): Response {
  return Response.json({ status: true, message: "", data }, { status });
}

function failure(status: number, message: string): Response {
  return Response.json({ status: false, message }, { status });
}
