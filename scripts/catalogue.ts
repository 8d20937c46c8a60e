/** npm run catalogue: registers the event types and their schemas with the configured Convoy. */
import { usesLocalConvoy } from "../local/dev/settings.ts";
import { registerEventTypes } from "../openapi/catalogue.ts";
import { catalogueOf } from "../openapi/webhooks.ts";
import { convoyOf } from "../src/convoy/client.ts";
import { resources } from "../src/resources.ts";
import { devVars } from "./dotenv.ts";

const given = { ...devVars(), ...process.env };
const local = {
  CONVOY_BASE_URL: "http://127.0.0.1:8081/api",
  CONVOY_API_KEY: "local",
  CONVOY_PROJECT_ID: "local",
};

try {
  const settings = usesLocalConvoy(given) ? { ...given, ...local } : given;
  const convoy = convoyOf(settings as unknown as Parameters<typeof convoyOf>[0]);
  console.log(`Event types at ${convoy.baseUrl}:`);
  const registered = await registerEventTypes(convoy, catalogueOf(resources));
  for (const { name, done } of registered) console.log(`  ${name}: ${done}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
