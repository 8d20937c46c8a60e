/** What the cron's tasks work with. */
import type { Bindings, Settings } from "../settings.ts";
import type { Gateway } from "./gateway.ts";
import type { Outbox } from "./outbox.ts";

/** One run of the cron, with a gateway. `env` and the gateway count what they are used for. */
export type Run = {
  env: Bindings;
  outbox: Outbox;
  gateway: Gateway;
  settings: Settings;
};
