/** npm run catalogue: registers the event types and their schemas with the configured Convoy. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseEnv } from "node:util";
import { usesLocalConvoy } from "../local/dev/settings.ts";
import { registerEventTypes } from "../openapi/catalogue.ts";
import { convoyOf } from "../src/convoy/client.ts";

const file = path.join(import.meta.dirname, "..", ".dev.vars");
const given = { ...(existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {}), ...process.env };
const local = {
  CONVOY_BASE_URL: "http://127.0.0.1:8081/api",
  CONVOY_API_KEY: "local",
  CONVOY_PROJECT_ID: "local",
};

try {
  const settings = usesLocalConvoy(given) ? { ...given, ...local } : given;
  const convoy = convoyOf(settings as unknown as Parameters<typeof convoyOf>[0]);
  console.log(`Event types at ${convoy.baseUrl}:`);
  for (const { name, done } of await registerEventTypes(convoy)) console.log(`  ${name}: ${done}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
