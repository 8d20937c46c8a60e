/** An outbox whose gateway answers as a test says, by way of `env.CONVOY`, so that its calls are metered as Convoy's are. */
import type { Endpoints } from "../../src/outbox/endpoints.ts";
import type { Gateway, Post, Posted } from "../../src/outbox/gateway.ts";
import type { Outbox } from "../../src/outbox/outbox.ts";
import { type Registry, registryOf } from "../../src/outbox/resource.ts";
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

/** The outbox; `posts`: what the gateway was asked to take, in order. */
export function scriptedOutbox(
  script: Script,
  resources: Registry = registryOf([thing]),
): { outbox: Outbox; posts: Post[]; bind: (env: Bindings) => Bindings } {
  const posts: Post[] = [];
  const answer = async (request: Request) => {
    const post = (await request.json()) as Post;
    posts.push(post);
    return Response.json(await script(post));
  };
  const unasked = () => {
    throw new Error("The gateway was asked something that this test does not expect.");
  };
  const connect = ({ CONVOY }: Bindings): Gateway => ({
    async post(post) {
      const body = JSON.stringify(post);
      const sent = CONVOY?.fetch(new Request("http://gateway.test", { method: "POST", body }));
      return (await (await sent)?.json()) as Posted;
    },
    list: unasked,
    find: unasked,
    attempts: unasked,
  });
  return {
    posts,
    outbox: { resources, connect, endpoints },
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
