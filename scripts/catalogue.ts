/** npm run catalogue: registers the event types and their schemas with the configured Convoy. */
import { CONVOY_PORT } from "../local/dev/options.ts";
import { devSettings } from "../local/dev/settings.ts";
import { HOST } from "../local/listen.ts";
import { registerEventTypes } from "../openapi/catalogue.ts";
import { catalogueOf } from "../openapi/webhooks.ts";
import { convoyOf } from "../src/convoy/client.ts";
import { resources } from "../src/resources.ts";
import type { Bindings } from "../src/settings.ts";
import { command } from "./command.ts";
import { devVars } from "./dotenv.ts";

await command(async () => {
  const given = { ...devVars(), ...process.env };
  const settings: unknown = devSettings(given, `http://${HOST}:${CONVOY_PORT}`);
  const convoy = convoyOf(settings as Bindings);
  console.log(`Event types at ${convoy.baseUrl}:`);
  const registered = await registerEventTypes(convoy, catalogueOf(resources));
  for (const { name, done } of registered) console.log(`  ${name}: ${done}`);
});
