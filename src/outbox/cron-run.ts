/** What the cron's tasks work with. */
import { type Meter, metered, meterOf } from "../meter.ts";
import { type Bindings, type Settings, settingsOf } from "../settings.ts";
import type { Gateway } from "./gateway.ts";
import type { Hands } from "./hand.ts";
import type { Outbox } from "./outbox.ts";

/** One run of the cron, or of a hand. `env` and the gateway count what they are used for. */
export type Run = {
  env: Bindings;
  outbox: Outbox;
  gateway: Gateway;
  settings: Settings;
  /** Further invocations, if it may have any. */
  hands?: Hands;
};

/** A run, and the meter that counts what it uses. @throws SettingError */
export function beginRun(given: Bindings, outbox: Outbox): { run: Run; meter: Meter } {
  const settings = settingsOf(given);
  const meter = meterOf(settings.subrequestBudget);
  const env = metered(given, meter);
  return { run: { env, outbox, settings, gateway: outbox.connect(env) }, meter };
}
