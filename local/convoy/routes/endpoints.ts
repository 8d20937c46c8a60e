// /endpoints
import { Hono } from "hono";
import { type Body, member, readBody } from "../body.ts";
import type { Context } from "../context.ts";
import { readAuthentication, readClientCert } from "../credentials.ts";
import { Refusal, success } from "../envelope.ts";
import { equals, page } from "../paging.ts";
import {
  createEndpoint,
  deleteEndpoint,
  type EndpointRow,
  requireEndpoint,
  rotateSecret,
  setEndpointStatus,
  updateEndpoint,
} from "../store/endpoints.ts";
import { checkUrl } from "../url.ts";
import { endpointView } from "../views.ts";

/** An endpoint's fields from a body; those not sent are empty. http_timeout is checked and ignored (recorded). */
function fieldsOf({ options }: Context, json: Body["json"], clientCert: string | null) {
  member(json, "http_timeout", "integer");
  return {
    description: member(json, "description", "string") ?? "",
    rate_limit: member(json, "rate_limit", "integer") ?? 0,
    rate_limit_duration_s: durationOf(json),
    authentication: readAuthentication(json, options.licensed),
    mtls_client_cert: readClientCert(json, options.licensed, clientCert),
  };
}

function durationOf(json: Body["json"]): number {
  const duration = member(json, "rate_limit_duration", "integer") ?? 0;
  if (duration < 0) throw new Refusal(400, "Invalid request format");
  return duration;
}

/** The part of the API that creates and changes endpoints. */
export function endpointRoutes(context: Context): Hono {
  const routes = new Hono();

  routes.post("/", async (c) => {
    const { json } = await readBody(c.req.raw);
    const name = member(json, "name", "string");
    const url = member(json, "url", "string");
    const fields = {
      ...fieldsOf(context, json, null),
      owner_id: member(json, "owner_id", "string") ?? "",
      advanced_signatures: member(json, "advanced_signatures", "boolean") ?? true,
      secret: member(json, "secret", "string") ?? "",
    };
    if (!name || !url) throw new Refusal(400, "Invalid input provided");
    const row = createEndpoint(context, { ...fields, name, url: checkUrl(url) });
    context.publish({ kind: "endpoint" });
    return success(201, "Endpoint created successfully", endpointView(context, row, true));
  });

  routes.get("/", (c) => {
    const query = new URL(c.req.url).searchParams;
    const conditions = [
      { sql: "deleted_at IS NULL", values: [] },
      ...equals("owner_id", query.get("ownerId")),
      ...(query.get("q") ? [{ sql: "instr(name, ?) > 0", values: [query.get("q")] }] : []),
    ];
    const { content, pagination } = page<EndpointRow>(context, "endpoint", conditions, query);
    return success(200, "Endpoints fetched successfully", {
      content: content.map((row) => endpointView(context, row)),
      pagination,
    });
  });

  routes.get("/:id", (c) => {
    const row = requireEndpoint(context, c.req.param("id"));
    return success(200, "Endpoint fetched successfully", endpointView(context, row));
  });

  // Replaces everything: fields not sent are lost, except owner, signatures, secrets and mtls_client_cert (seen).
  routes.put("/:id", async (c) => {
    const { json } = await readBody(c.req.raw);
    const now = requireEndpoint(context, c.req.param("id"));
    const url = member(json, "url", "string");
    const name = member(json, "name", "string");
    const problems = [
      ...(url ? [] : ["url:please provide a url for your endpoint"]),
      ...(name ? [] : ["name:please provide your endpointName"]),
    ];
    if (!url || !name) throw new Refusal(400, problems.join(", "));
    const row = updateEndpoint(context, c.req.param("id"), {
      ...fieldsOf(context, json, now.mtls_client_cert),
      name,
      url: checkUrl(url),
      owner_id: member(json, "owner_id", "string"),
      advanced_signatures: member(json, "advanced_signatures", "boolean"),
    });
    return success(202, "Endpoint updated successfully", endpointView(context, row, true));
  });

  routes.delete("/:id", (c) => {
    deleteEndpoint(context, c.req.param("id"));
    return success(200, "Endpoint deleted successfully", null);
  });

  routes.put("/:id/pause", (c) => {
    const { uid, status } = found(context, c.req.param("id"));
    if (status === "inactive")
      throw new Refusal(
        400,
        `current endpoint status - ${status}, does not support pausing or unpausing`,
      );
    const row = setEndpointStatus(context, uid, status === "active" ? "paused" : "active");
    return success(202, "endpoint status updated successfully", endpointView(context, row));
  });

  routes.post("/:id/activate", (c) => {
    const { uid, status } = found(context, c.req.param("id"));
    if (status === "active")
      throw new Refusal(400, `current endpoint status - ${status}, does not support activation`);
    const row = setEndpointStatus(context, uid, "active");
    return success(200, "endpoint status successfully activated", endpointView(context, row));
  });

  routes.put("/:id/expire_secret", async (c) => {
    const { json } = await readBody(c.req.raw);
    const row = rotateSecret(
      context,
      requireEndpoint(context, c.req.param("id")).uid,
      member(json, "secret", "string") ?? "",
      member(json, "expiration", "integer") ?? 0,
    );
    return success(200, "endpoint secret expired successfully", endpointView(context, row));
  });

  return routes;
}

/** The endpoint; refuses with 400 as Convoy's pause and activate do. */
function found(context: Context, uid: string): EndpointRow {
  try {
    return requireEndpoint(context, uid);
  } catch {
    throw new Refusal(400, "failed to find endpoint");
  }
}
