/** A Convoy that answers as scripted by a test, and records what it was asked. */
import type { Bindings } from "../../src/config.ts";
import { acceptance, withConvoy } from "./operations.ts";

/** A post to Convoy. */
export type Posted = { key: string; endpoint: string | null; owner: string | null };

/** A listed event: what differs from a finished one of this project. */
export type ListedEvent = {
  idempotency_key: string;
  status?: string;
  failure_reason?: string;
  endpoints?: string[];
  is_duplicate_event?: boolean;
  project_id?: string;
};

/** A page of the list (`next`: its cursor, absent on the last page), or any other response. */
export type ListedPage = { events: ListedEvent[]; next?: string } | Response;

type Script = {
  /** Answers a post; accepts it by default. */
  post?: (posted: Posted) => Response | Promise<Response>;
  /** Answers GET /events; with an empty list by default. */
  list?: (query: URLSearchParams) => ListedPage | Promise<ListedPage>;
};

/** The bindings with that Convoy, the posted keys, and the queries of its list. */
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
