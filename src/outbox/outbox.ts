/**
 * The log's public face. A noun is defined with `defineResource`; its routes are plain Hono on three verbs: `read`,
 * `list` and `change`. app.ts puts the outbox together and mounts `event`, `delivery` and `rebuild`; the cron runs
 * `runCron`.
 */
import type { Bindings } from "../settings.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Gateway } from "./gateway.ts";
import type { Registry } from "./resource.ts";

/** What the log is given where the app is put together. */
export type Outbox = {
  resources: Registry;
  /** The gateway as configured. @throws SettingError */
  connect: (env: Bindings) => Gateway;
  endpoints: Endpoints;
};

declare module "hono" {
  interface ContextVariableMap {
    outbox: Outbox;
  }
}

export { delivery } from "./delivery-routes.ts";
export { event } from "./event-routes.ts";
export { rebuild } from "./rebuild-routes.ts";
export * from "./resource.ts";
export { change, list, read } from "./verbs.ts";
