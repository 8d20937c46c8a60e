/**
 * A Worker of the log alone: nouns that exist only in tests, and endpoints that are rows. What src/outbox/ promises, it
 * promises whatever is mounted on it.
 */
import { connect } from "../../src/convoy/gateway.ts";
import { onError, problem } from "../../src/errors.ts";
import { newApp } from "../../src/http.ts";
import { runCron, type Task } from "../../src/outbox/cron.ts";
import type { Endpoints } from "../../src/outbox/endpoints.ts";
import { lendHand } from "../../src/outbox/hand.ts";
import { delivery, event, type Outbox } from "../../src/outbox/outbox.ts";
import { deadOfEndpoint } from "../../src/outbox/removal.ts";
import { registryOf } from "../../src/outbox/resource.ts";
import type { Bindings } from "../../src/settings.ts";
import { all, batch, run } from "../../src/storage.ts";
import { parts, things } from "./log-routes.ts";
import { part, thing } from "./thing.ts";

/** What the platform calls. */
export type WorkerCode = {
  fetch: (request: Request, env: Bindings, ctx: ExecutionContext) => Response | Promise<Response>;
  scheduled: (controller: ScheduledController, env: Bindings) => Promise<void>;
};

const MINUTE_MS = 60_000;
// When an endpoint that is not active there is looked at again.
const AGAIN_MS = 5 * MINUTE_MS;

const ids = "(SELECT value FROM json_each(?1))";

/** Endpoints whose records are all that there is of them; Convoy is asked about those that are doubted. */
export const rowEndpoints: Endpoints = {
  seen: (seen, now) => [
    `UPDATE endpoint SET there = iif(s.value ->> 'active', 'active', 'inactive'),
       due_at = iif(s.value ->> 'active', NULL, ?2 + ${AGAIN_MS})
     FROM json_each(?1) AS s WHERE endpoint.id = s.value ->> 'endpointId'
       AND endpoint.there <> iif(s.value ->> 'active', 'active', 'inactive')`,
    ...[JSON.stringify(seen), now],
  ],
  doubted: (doubted, now) => [
    `UPDATE endpoint SET due_at = ?2 WHERE id IN ${ids}`,
    ...[JSON.stringify(doubted), now],
  ],
  reported: (reports) => [
    `UPDATE endpoint SET failing_since = iif(r.value ->> 'error' IS NULL, NULL, coalesce(failing_since, r.value ->> 'at'))
     FROM json_each(?1) AS r WHERE endpoint.id = r.value ->> 'endpointId'`,
    JSON.stringify(reports),
  ],
  async subscribe(env, endpointId) {
    const answer = await ask(env, "POST", "/subscriptions", { endpoint_id: endpointId });
    return answer?.ok ? "subscribed" : "unknown";
  },
};

/** A call to Convoy; null: no answer. */
async function ask(env: Bindings, method: string, path: string, body?: object) {
  const sent = body ? { body: JSON.stringify(body) } : {};
  try {
    const url = `${env.CONVOY_BASE_URL}/v1/projects/local${path}`;
    return (await env.CONVOY?.fetch(new Request(url, { method, ...sent }))) ?? null;
  } catch {
    return null;
  }
}

/** Looks at endpoints that are due: whether Convoy has them, and delivers to them. */
const LOOK_AT_ENDPOINTS: Task = {
  name: "endpoints",
  due: () => "EXISTS (SELECT 1 FROM endpoint WHERE due_at <= ?1)",
  least: 3,
  share: 0.1,
  async run({ env }, { now }, budget) {
    const sql = "SELECT id FROM endpoint WHERE due_at <= ? ORDER BY due_at LIMIT 20";
    for (const { id } of await all<{ id: string }>(env.DB, sql, now)) {
      if (budget.left() < 2) break;
      const answer = await ask(env, "GET", `/endpoints/${id}`);
      const data = answer?.ok ? ((await answer.json()) as { data: { status: string } }).data : null;
      const there = answer?.status === 404 ? "missing" : data?.status;
      await run(
        env.DB,
        `UPDATE endpoint SET there = coalesce(?2, there), due_at = iif(?2 = 'active', NULL, ?3) WHERE id = ?1`,
        ...[id, there ?? null, now + AGAIN_MS],
      );
    }
    return {};
  },
};

/** The outbox of the tests' nouns, with Convoy as its gateway. */
export const outbox: Outbox = {
  resources: registryOf([thing, part]),
  connect,
  endpoints: rowEndpoints,
};

const endpoints = newApp()
  .post("/:id/:wanted", async (c) => {
    const wanted = c.req.param("wanted") === "pause" ? "paused" : "active";
    const sql =
      "UPDATE endpoint SET wanted = ?3 WHERE id = ?1 AND owner = ?2 AND wanted <> 'removed'";
    const changed = await run(c.env.DB, sql, c.req.param("id"), c.get("owner"), wanted);
    if (changed === 0) throw problem(404, "Endpoint not found");
    return c.json({}, 200);
  })
  .delete("/:id", async (c) => {
    const id = c.req.param("id");
    await batch(c.env.DB, [
      [
        "UPDATE endpoint SET wanted = 'removed', due_at = NULL WHERE id = ?1 AND owner = ?2",
        id,
        c.get("owner"),
      ],
      ...deadOfEndpoint(c.get("owner"), id, Date.now()),
    ]);
    return c.json({}, 200);
  });

const app = newApp();
app.use((c, next) => {
  c.set("owner", c.req.header("X-Owner") ?? "default");
  c.set("operator", false);
  c.set("outbox", outbox);
  return next();
});
app.onError(onError);
const routed = app
  .route("/thing", things)
  .route("/part", parts)
  .route("/endpoint", endpoints)
  .route("/event", event)
  .route("/delivery", delivery);

/** The Worker. The owner is whoever `X-Owner` says. */
export const logWorker: WorkerCode = {
  fetch: (request, env, ctx) => routed.fetch(request, env, ctx),
  scheduled: (_controller, env) =>
    runCron(env, outbox, {
      tasks: [LOOK_AT_ENDPOINTS],
      ask: (task) => lendHand(env, outbox, task),
    }),
};
