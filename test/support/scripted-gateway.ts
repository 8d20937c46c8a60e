/** An outbox whose gateway answers as a test says, by way of `env.CONVOY`, so that its calls are metered as Convoy's are. */
import type { Endpoints } from "../../src/outbox/endpoints.ts";
import type { Gateway, Listed, Post, Posted, Window } from "../../src/outbox/gateway.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";
import { registryOf } from "../../src/outbox/resource.ts";
import type { Bindings } from "../../src/settings.ts";
import { thing } from "./thing.ts";

/** What the gateway answers to a post. It may take its time. */
export type Script = (post: Post) => Posted | Promise<Posted>;

/** Answers. */
export const ACCEPTED: Posted = { kind: "accepted" };
/** A failure, such as a 500. */
export const FAILED: Posted = {
  kind: "failed",
  error: "Convoy answered 500",
  throttled: false,
  retryAfterMs: null,
};

/** What the gateway lists; by default nothing. */
export type ListScript = (window: Window) => Listed | Promise<Listed>;

/** The outbox; `posts`: what the gateway was asked to take, in order. It finds nothing by its key. */
export function scriptedOutbox(
  script: Script,
  list: ListScript = () => ({ kind: "page", deliveries: [], next: null }),
): { outbox: Outbox; posts: Post[]; bind: (env: Bindings) => Bindings } {
  const posts: Post[] = [];
  const answer = async (request: Request) => {
    const asked = (await request.json()) as { post: Post } | { window: Window };
    if ("window" in asked) return Response.json(await list(asked.window));
    posts.push(asked.post);
    return Response.json(await script(asked.post));
  };
  const connect = ({ CONVOY }: Bindings): Gateway => {
    const ask = async <T>(question: object): Promise<T> => {
      const body = JSON.stringify(question);
      const sent = CONVOY?.fetch(new Request("http://gateway.test", { method: "POST", body }));
      return (await (await sent)?.json()) as T;
    };
    return {
      post: (post) => ask<Posted>({ post }),
      list: (window) => ask<Listed>({ window }),
      find: async () => ({ kind: "none" }),
      attempts: async () => ({ kind: "attempts", attempts: [] }),
    };
  };
  return {
    posts,
    outbox: { resources: registryOf([thing]), connect, endpoints },
    bind: (env) => ({ ...env, CONVOY: { fetch: answer as unknown as Fetcher["fetch"] } }),
  };
}

const nothing = () => ["SELECT 1"] as [string];

/** Of doubted endpoints the records are due; nothing else is told. */
const endpoints: Endpoints = {
  seen: nothing,
  reported: nothing,
  doubted: (ids, now) => [
    "UPDATE endpoint SET due_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))",
    ...[JSON.stringify(ids), now],
  ],
  subscribe: async () => "unknown",
};
