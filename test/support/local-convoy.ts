/** The local Convoy in a test's process: its API as its dashboard uses it, its inbox and its faults. */
import { type ConvoyOptions, createConvoy, type Faults } from "../../local/convoy/index.ts";
import type { ConvoyDouble } from "./convoy-double.ts";

/** An event as the inbox lists it. */
type InboxEvent = {
  idempotency_key: string;
  is_duplicate: boolean;
  swallowed: boolean;
  status: string;
  body: string;
};

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
  return {
    fetch: convoy.fetch,
    idle: convoy.idle,
    close: convoy.close,
    inbox,
    async accepted() {
      const all = await inbox<InboxEvent>("events");
      return all
        .filter(({ swallowed }) => !swallowed)
        .map(({ idempotency_key: key, is_duplicate: duplicate, status, body }) => ({
          key,
          duplicate,
          status,
          body,
        }));
    },
    async reset() {
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
