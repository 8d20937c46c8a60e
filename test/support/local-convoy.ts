/** The local Convoy in a test's process: its API as its dashboard uses it, its inbox and its faults. */

import type { InboxDelivery } from "../../local/convoy/inbox.ts";
import { type ConvoyOptions, createConvoy, type Faults } from "../../local/convoy/index.ts";
import type { ConvoyDouble, PostMade } from "./convoy-double.ts";

/** An event as the inbox lists it. */
type InboxEvent = {
  idempotency_key: string;
  endpoint_id: string | null;
  is_duplicate: boolean;
  swallowed: boolean;
  body: string;
};

const LISTED_MAX = 20_000;

/** The local Convoy, and what only tests ask of it. Any answer that is not OK is thrown. */
export type LocalConvoy = ConvoyDouble & {
  /** `data` of the API's answer; `path` begins after the project. */
  api: <T>(method: string, path: string, body?: object) => Promise<T>;
  /** The inbox's list of `events` or `deliveries`, the newest first. */
  inbox: <T>(what: string, limit?: number) => Promise<T[]>;
  /** Sets its faults from now on. */
  setFaults: (faults: Faults) => Promise<void>;
  /** Sets an endpoint's status, as when its receiver keeps failing. */
  setStatus: (endpointId: string, status: string) => Promise<void>;
};

/** Starts one with its own state. */
export function localConvoy(options: ConvoyOptions = {}): LocalConvoy {
  // Looked up at each call: a test may put Date on virtual time later.
  const convoy = createConvoy({ now: () => Date.now(), ...options });
  const project = options.projectId ?? "local";
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const headers = { Authorization: "Bearer local" };
    const sent = { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) };
    const response = await convoy.fetch(new Request(`http://convoy.test${path}`, sent));
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  };
  const data = async <T>(method: string, path: string, body?: object) =>
    ((await ask(method, path, body)) as { data: T } | undefined)?.data as T;
  const inbox = <T>(what: string, limit = 5_000) =>
    data<T[]>("GET", `/inbox/${what}?limit=${limit}`);
  const posts: PostMade[] = [];
  return {
    posts,
    async fetch(request) {
      if (request.method === "POST" && new URL(request.url).pathname.endsWith("/events")) {
        const body = (await request.clone().json()) as Record<string, string>;
        const { idempotency_key: key = "", endpoint_id: endpointId = "" } = body;
        posts.push({ key, endpointId, at: Date.now() });
      }
      return convoy.fetch(request);
    },
    idle: convoy.idle,
    close: convoy.close,
    inbox,
    async taken() {
      const [events, deliveries] = [
        await inbox<InboxEvent>("events", LISTED_MAX),
        await inbox<InboxDelivery>("deliveries", LISTED_MAX),
      ];
      const byKey = Map.groupBy(deliveries, ({ idempotency_key }) => idempotency_key);
      return events
        .filter(({ swallowed, is_duplicate }) => !swallowed && !is_duplicate)
        .map(({ idempotency_key: key, endpoint_id, body }) => {
          const made = byKey.get(key) ?? [];
          // One stuck in Processing has arrived all the same (recorded).
          const arrived = made.filter(
            ({ status, received_at }) =>
              status === "Success" || (status === "Processing" && received_at !== null),
          );
          const status = made.find((one) => one.status === "Success")?.status ?? made[0]?.status;
          const same = { key, endpointId: endpoint_id ?? "", body, arrivals: arrived.length };
          return { ...same, status: status ?? null };
        });
    },
    async reset() {
      posts.length = 0;
      await ask("POST", "/inbox/reset");
    },
    api: (method, path, body) => data(method, `/api/v1/projects/${project}${path}`, body),
    async setFaults(faults) {
      await ask("PUT", "/inbox/faults", faults);
    },
    async setStatus(endpointId, status) {
      await ask("PUT", `/inbox/endpoints/${endpointId}`, { status });
    },
  };
}
