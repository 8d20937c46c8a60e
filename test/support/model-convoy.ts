/** A minimal model of Convoy on virtual time: takes events, forgets, stalls, strands, has its own clock. */

import type { Accepted, ConvoyDouble } from "./convoy-double.ts";
import { randomOf } from "./random.ts";

/** How it answers a post: as it should, with an error, 201 without taking it, or taking it without an answer. */
export type Mode = "ok" | "down" | "swallow" | "lost";

/** A listed event. `seenAt`: from when the list shows it. `doneAt`: when it is delivered; infinite if never. */
export type Listed = {
  key: string;
  duplicate: boolean;
  createdAt: number;
  seenAt: number;
  status: "Processing" | "Failure" | "Retry";
  doneAt: number;
  endpointId: string | null;
  /** The webhook's body; null for other producers' events. */
  data: unknown;
};

/** What is wrong with it; may be changed while it runs. Times in ms. */
export type Trouble = {
  mode: Mode;
  stalledUntil: number;
  skewMs: number;
  /** Share of events whose job is lost, so that they stay unfinished. */
  strands: number;
  /** Share of posts whose answer is lost. */
  loses: number;
  /** The longest it takes to process an event. */
  lagMs: number;
  /** Endpoints that it does not know, and endpoints whose events fail. */
  gone: (id: string) => boolean;
  poisoned: (id: string) => boolean;
};

/** The model. `posts` records posts, `lists` counts list calls. */
export type ModelConvoy = ConvoyDouble & {
  trouble: Trouble;
  records: Listed[];
  posts: { key: string; at: number }[];
  lists: number;
  /** Adds events of other producers, which are listed, too. */
  produce: (count: number) => void;
  /** How many keys of an event were delivered. */
  deliveredOf: (id: string) => number;
};

const LIST_SEEN_MS = 3_000;

/** An event it was sent but has not processed yet. */
type Queued = { at: number; key: string; endpointId: string | null; data: unknown };

const HEALTHY: Trouble = {
  mode: "ok",
  stalledUntil: 0,
  skewMs: 0,
  strands: 0,
  loses: 0,
  lagMs: 3_000,
  gone: () => false,
  poisoned: () => false,
};

/** A model with an empty list and nothing wrong with it but `trouble`. */
export function modelConvoy(
  trouble: Partial<Trouble> = {},
  random: () => number = randomOf(1),
): ModelConvoy {
  const byKey = new Map<string, Listed>();
  const byId = new Map<string, Listed[]>();
  // Processed on demand: thousands of timers are slow.
  const paused = new Set<string>();
  let queue: Queued[] = [];
  const convoy: ModelConvoy = {
    trouble: { ...HEALTHY, ...trouble },
    records: [],
    posts: [],
    lists: 0,
    fetch,
    async accepted() {
      catchUp();
      const ours = convoy.records.filter(({ data }) => data !== null);
      return ours.map((each): Accepted => {
        const status = statusOf(each);
        return {
          key: each.key,
          duplicate: each.duplicate,
          status,
          body: JSON.stringify(each.data),
        };
      });
    },
    idle: async () => {},
    close: async () => {},
    async reset() {
      byKey.clear();
      byId.clear();
      paused.clear();
      queue = [];
      Object.assign(convoy, {
        trouble: { ...HEALTHY, ...trouble },
        records: [],
        posts: [],
        lists: 0,
      });
    },
    produce(count) {
      for (let i = 0; i < count; i++) {
        const at = Date.now();
        const key = `other-${convoy.records.length}`;
        const common = { duplicate: false, status: "Processing" as const, endpointId: "other" };
        convoy.records.push({ key, createdAt: at, seenAt: at, doneAt: at, data: null, ...common });
      }
    },
    deliveredOf(id) {
      catchUp();
      return (byId.get(id) ?? []).filter(({ doneAt }) => doneAt <= Date.now()).length;
    },
  };

  function catchUp(): void {
    const now = Date.now();
    const due = queue.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at);
    if (due.length === 0) return;
    queue = queue.filter(({ at }) => at > now);
    for (const each of due) process(each);
  }

  function process({ at, key, endpointId, data }: Queued): void {
    const { skewMs, strands, poisoned, lagMs } = convoy.trouble;
    const duplicate = byKey.has(key);
    const record: Listed = {
      key,
      duplicate,
      createdAt: Math.floor(at + skewMs + random() * LIST_SEEN_MS),
      seenAt: at + random() * LIST_SEEN_MS,
      status: "Processing",
      doneAt: Number.POSITIVE_INFINITY,
      endpointId,
      data,
    };
    convoy.records.push(record);
    if (duplicate) return;
    byKey.set(key, record);
    const id = key.slice(0, 36);
    byId.set(id, [...(byId.get(id) ?? []), record]);
    if (endpointId !== null && poisoned(endpointId)) record.status = "Failure";
    else if (random() < strands) record.status = "Retry";
    else record.doneAt = at + random() * lagMs;
  }

  async function fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const path = url.pathname.replace(/^.*\/projects\/[^/]+/, "");
    if (path.startsWith("/events") && request.method === "POST") {
      return post((await request.json()) as Posted);
    }
    await request.body?.cancel();
    if (convoy.trouble.mode === "down") return failure(400, "outage");
    if (path === "/events") return list(url.searchParams);
    const [, uid, pause] = /^\/endpoints\/([^/]+)(\/pause)?$/.exec(path) ?? [];
    if (uid) return success(endpoint(uid, pause !== undefined));
    return success({ content: [], pagination: { has_next_page: false, next_page_cursor: "" } });
  }

  function endpoint(uid: string, toggle: boolean) {
    if (toggle && !paused.delete(uid)) paused.add(uid);
    const status = paused.has(uid) ? "paused" : "active";
    return { uid, project_id: "local", name: "e", url: "https://e.test/", status };
  }

  function post({ idempotency_key: key, endpoint_id = null, data }: Posted): Response {
    const { mode, loses, stalledUntil, lagMs, gone } = convoy.trouble;
    convoy.posts.push({ key, at: Date.now() });
    if (endpoint_id !== null && gone(endpoint_id)) return failure(400, "endpoint not found");
    if (mode === "down") return failure(400, "outage");
    if (mode !== "swallow") {
      const lag = random() * lagMs + Math.max(0, stalledUntil - Date.now());
      queue.push({ at: Date.now() + lag, key, endpointId: endpoint_id, data });
    }
    if (mode === "lost" || random() < loses) throw new TypeError("connection lost");
    return success(null, 201);
  }

  function list(query: URLSearchParams): Response {
    convoy.lists++;
    catchUp();
    const now = Date.now();
    const key = query.get("idempotencyKey");
    const from = Date.parse(`${query.get("startDate")}Z`);
    const to = Date.parse(`${query.get("endDate")}Z`);
    const perPage = Number(query.get("perPage"));
    const items: (Listed & { n: number })[] = [];
    for (let n = Number(query.get("next_page_cursor") ?? 0); n < convoy.records.length; n++) {
      const each = convoy.records[n]!;
      const fits = key === null ? each.createdAt >= from && each.createdAt <= to : each.key === key;
      if (fits && each.seenAt <= now) items.push({ ...each, n });
      if (items.length > perPage) break;
    }
    const next = items[perPage];
    return success({
      content: items.slice(0, perPage).map((each) => ({
        uid: String(each.n),
        project_id: "local",
        idempotency_key: each.key,
        is_duplicate_event: each.duplicate,
        status: statusOf(each),
        failure_reason: each.status === "Failure" ? "poisoned" : undefined,
        endpoints: each.endpointId === null ? [] : [each.endpointId],
        created_at: new Date(each.createdAt).toISOString(),
      })),
      pagination: { has_next_page: next !== undefined, next_page_cursor: String(next?.n ?? "") },
    });
  }

  return convoy;
}

/** The parts of a post's body that matter. */
type Posted = { idempotency_key: string; endpoint_id?: string | null; data: unknown };

function statusOf({ doneAt, status }: Pick<Listed, "doneAt" | "status">): string {
  return doneAt <= Date.now() ? "Success" : status;
}

function success(data: unknown, status = 200): Response {
  return Response.json({ status: true, message: "", data }, { status });
}

function failure(status: number, message: string): Response {
  return Response.json({ status: false, message }, { status });
}
