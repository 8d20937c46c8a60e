// What the API answers while its Postgres is down: both versions, with the key and the project cached (recorded).
import type { MiddlewareHandler } from "hono";
import { type ApiEnv, failure } from "./envelope.ts";

const REFUSED =
  "failed to connect to `user=convoy database=convoy`: 127.0.0.1:5432 (127.0.0.1): " +
  "dial error: dial tcp 127.0.0.1:5432: connect: connection refused";

/** Method, path after the project, status and message; the first that fits. A missing endpoint looks the same. */
const ANSWERS: [string, RegExp, number, string][] = [
  ["GET", /^\/endpoints\/[^/]+$/, 404, "Resource not found"],
  ["GET", /^\/endpoints$/, 400, "Failed to load endpoints"],
  ["POST", /^\/endpoints$/, 400, "an error occurred while adding endpoint"],
  ["PUT", /^\/endpoints\/[^/]+\/pause$/, 400, "failed to find endpoint"],
  ["POST", /^\/endpoints\/[^/]+\/activate$/, 400, "failed to find endpoint"],
  ["GET", /^\/subscriptions$/, 500, "an error occurred while fetching subscriptions"],
  ["POST", /^\/subscriptions$/, 400, "failed to find endpoint by id"],
  ["GET", /^\/events$/, 500, "an error occurred while fetching app events"],
  ["GET", /^\/eventdeliveries$/, 500, "an error occurred while fetching event deliveries"],
  ["GET", /^\/(events|eventdeliveries)\/[^/]+$/, 404, REFUSED],
];

/** Refuses every call but the project's own. A look-up of deliveries by key looks for the event first: 400. */
export const postgres: MiddlewareHandler<ApiEnv> = async (c, next) => {
  const path = c.req.path.replace(/^\/api\/v1\/projects\/[^/]+/, "");
  if (c.env?.trouble !== "postgres_down" || path === "") return next();
  if (path === "/eventdeliveries" && c.req.query("idempotencyKey")) return failure(400, REFUSED);
  const found = ANSWERS.find(([method, pattern]) => method === c.req.method && pattern.test(path));
  const [, , status, message] = found ?? ["", path, 400, REFUSED];
  return failure(status, message);
};
