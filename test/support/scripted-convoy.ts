/** A Convoy that answers as a test says, and remembers what it was asked. */
import type { Bindings } from "../../src/config.ts";
import { acceptance, withConvoy } from "./operations.ts";

/** What a post to Convoy says. */
export type Posted = { key: string; endpoint: string | null; owner: string | null };

/** An event as the list gives it, where it is not a finished one of this project. */
export type ListedEvent = {
  idempotency_key: string;
  status?: string;
  failure_reason?: string;
  endpoints?: string[];
  is_duplicate_event?: boolean;
  project_id?: string;
};

/** A page of the list; `next` is its cursor, absent on the last. Or any answer. */
export type ListedPage = { events: ListedEvent[]; next?: string } | Response;

type Script = {
  /** Answer to a post; accepted if not given. */
  post?: (posted: Posted) => Response | Promise<Response>;
  /** Answer to GET /events; empty if not given. */
  list?: (query: URLSearchParams) => ListedPage | Promise<ListedPage>;
};

/** The bindings with that Convoy, the keys that were posted, and the queries of its list. */
export function scripted(env: Bindings, { post = () => acceptance(), list }: Script) {
  const keys: string[] = [];
  const queries: URLSearchParams[] = [];
  const convoy = withConvoy(env, async (request) => {
    const { pathname, searchParams } = new URL(request.url);
    if (request.method === "POST") {
      const body = (await request.json()) as Record<string, string>;
      const { idempotency_key: key = "", endpoint_id = null, owner_id = null } = body;
      keys.push(key);
      return post({ key, endpoint: endpoint_id, owner: owner_id });
    }
    if (!pathname.endsWith("/events")) throw new Error(`${request.method} ${pathname}`);
    queries.push(searchParams);
    const page = (await list?.(searchParams)) ?? { events: [] };
    return page instanceof Response ? page : pageOf(page);
  });
  return { env: convoy, keys, queries };
}

function pageOf({ events, next }: Exclude<ListedPage, Response>): Response {
  const pagination = { has_next_page: next !== undefined, next_page_cursor: next ?? "" };
  const usual = { project_id: "local", status: "Success", is_duplicate_event: false };
  const content = events.map((event) => ({ ...usual, uid: event.idempotency_key, ...event }));
  return acceptance({ content, pagination }, 200);
}
