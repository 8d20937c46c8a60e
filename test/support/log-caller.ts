/** Calls the log's own Worker in workerd, with a gateway that answers as a test scripts it. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { onError } from "../../src/errors.ts";
import { newApp } from "../../src/http.ts";
import { delivery, event, type Outbox, rebuild } from "../../src/outbox/outbox.ts";
import type { Bindings } from "../../src/settings.ts";
import { outboxOf, type Script, type ScriptedGateway, scriptedGateway } from "./gateway.ts";
import { things } from "./log-routes.ts";

/** An answer; `done` waits for what goes on in waitUntil. */
export type LogReply = {
  status: number;
  eventId: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: any JSON; tests compare it whole
  body: any;
  done: () => Promise<void>;
};

/** Begins a call, and does not wait for its waitUntil. */
export type Begin = (method: string, path: string, body?: unknown) => Promise<LogReply>;

/** A caller of the log's routes. */
export type LogCaller = {
  gateway: ScriptedGateway;
  outbox: Outbox;
  begin: Begin;
  /** As `begin`, and waits for its waitUntil. */
  call: Begin;
};

/** The owner `owner` (default `a`), an operator if it says so, of a log whose gateway has this script. */
export function logCaller(
  env: Bindings,
  {
    owner = "a",
    operator = false,
    ...script
  }: Script & { owner?: string; operator?: boolean } = {},
): LogCaller {
  const gateway = scriptedGateway(script);
  const outbox = outboxOf(gateway);
  const app = newApp();
  app.use((c, next) => {
    c.set("owner", owner);
    c.set("operator", operator);
    c.set("outbox", outbox);
    return next();
  });
  app.onError(onError);
  const routed = app
    .route("/thing", things)
    .route("/event", event)
    .route("/delivery", delivery)
    .route("/rebuild", rebuild);
  const begin: Begin = async (method, path, body) => {
    const ctx = createExecutionContext();
    const sent = body === undefined ? {} : { body: JSON.stringify(body) };
    const headers = { "Content-Type": "application/json" };
    const request = new Request(`http://localhost${path}`, { method, headers, ...sent });
    const response = await routed.fetch(request, env, ctx);
    const text = await response.text();
    return {
      status: response.status,
      eventId: response.headers.get("X-Event-Id"),
      body: text === "" ? null : JSON.parse(text),
      done: () => waitOnExecutionContext(ctx),
    };
  };
  return {
    gateway,
    outbox,
    begin,
    async call(...given) {
      const reply = await begin(...given);
      await reply.done();
      return reply;
    },
  };
}
