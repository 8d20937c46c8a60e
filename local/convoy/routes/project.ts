// /projects/:id: the key's own project, whatever the id in the path.
import { Hono } from "hono";
import type { Context } from "../context.ts";
import { success } from "../envelope.ts";

/** The project, with the fields of openapi3.json's ProjectResponse; `config` has what all projects share here. */
function projectView(context: Context, createdAt: string) {
  return {
    uid: context.options.projectId,
    name: "local",
    logo_url: "",
    organisation_id: "",
    type: "outgoing",
    config: {
      max_payload_read_size: 0,
      replay_attacks_prevention_enabled: false,
      add_event_id_trace_headers: false,
      disable_endpoint: false,
      multiple_endpoint_subscriptions: false,
      strategy: {
        type: "linear",
        duration: Math.ceil(context.options.retry.intervalMs / 1000),
        retry_count: context.options.retry.limit,
      },
      signature: { header: "X-Convoy-Signature", versions: [] },
    },
    statistics: null,
    retained_events: 0,
    created_at: createdAt,
    updated_at: createdAt,
    deleted_at: null,
  };
}

/** The part of the API that shows a project. It has no health route: the answer is the router's 404, not JSON (seen). */
export function projectRoutes(context: Context): Hono {
  const routes = new Hono();
  const createdAt = context.timestamp();
  routes.get("/", () =>
    success(200, "Project fetched successfully", projectView(context, createdAt)),
  );
  routes.get("/health", (c) => c.text("404 page not found\n", 404));
  return routes;
}
