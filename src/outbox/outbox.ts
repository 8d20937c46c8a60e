/**
 * The log's public face. A noun is defined with `defineResource`; its routes are plain Hono on three verbs: `read`,
 * `list` and `change`. app.ts puts the outbox together and mounts `event`, `delivery` and `rebuild`; the cron runs
 * `cronTasks`.
 */
import type { Bindings } from "../config.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Gateway } from "./gateway.ts";
import type { Registry } from "./resource.ts";

/** The gateway as configured, or what is missing or wrong in the settings. */
export type Connected = { ok: true; gateway: Gateway } | { ok: false; error: string };

/** What the log is given where the app is put together. */
export type Outbox = {
  resources: Registry;
  connect: (env: Bindings) => Connected;
  endpoints: Endpoints;
};

declare module "hono" {
  interface ContextVariableMap {
    outbox: Outbox;
  }
}
