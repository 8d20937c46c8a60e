// /endpoints
import { Hono } from "hono";
import { LEGACY_API_VERSION, MIN_HTTP_TIMEOUT_S } from "../../config.ts";
import { durationS, member, readBody } from "../body.ts";
import type { Context } from "../context.ts";
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
import { endpointView, legacyEndpointView } from "../views.ts";

function seconds(json: Record<string, unknown>, name: string, legacy: boolean): number | undefined {
  if (!legacy) return member(json, name, "integer");
  const value = member(json, name, "string");
  return value === undefined ? undefined : durationS(value);
}

const isLegacy = (request: Request): boolean => {
  const version = request.headers.get("X-Convoy-Version") ?? "";
  return version !== "" && version <= LEGACY_API_VERSION;
};

/** The part of the API that makes and changes endpoints. */
export function endpointRoutes(context: Context): Hono {
  const routes = new Hono();

  routes.post("/", async (c) => {
    const legacy = isLegacy(c.req.raw);
    const { json } = await readBody(c.req.raw);
    const name = member(json, legacy && "title" in json ? "title" : "name", "string");
    const url = member(json, legacy && "target_url" in json ? "target_url" : "url", "string");
    const fields = {
      owner_id: member(json, "owner_id", "string") ?? "",
      description: member(json, "description", "string") ?? "",
      http_timeout_s: seconds(json, "http_timeout", legacy) ?? MIN_HTTP_TIMEOUT_S,
      advanced_signatures: member(json, "advanced_signatures", "boolean") ?? !legacy,
      rate_limit: member(json, "rate_limit", "integer") ?? 0,
      rate_limit_duration_s: seconds(json, "rate_limit_duration", legacy) ?? 0,
      secret: member(json, "secret", "string") ?? "",
    };
    if (!name || !url) throw new Refusal(400, "Invalid input provided");
    const row = createEndpoint(context, { ...fields, name, url: checkUrl(url) });
    context.publish({ kind: "endpoint" });
    const view = legacy ? legacyEndpointView(context, row) : endpointView(context, row, true);
    return success(201, "Endpoint created successfully", view);
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

  routes.put("/:id", async (c) => {
    const legacy = isLegacy(c.req.raw);
    const { json } = await readBody(c.req.raw);
    requireEndpoint(context, c.req.param("id"));
    const url = member(json, "url", "string");
    const name = member(json, "name", "string");
    const problems = [
      ...(url ? [] : ["url:please provide a url for your endpoint"]),
      ...(name ? [] : ["name:please provide your endpointName"]),
    ];
    if (!url || !name) throw new Refusal(400, problems.join(", "));
    const given = {
      owner_id: member(json, "owner_id", "string"),
      description: member(json, "description", "string"),
      http_timeout_s: seconds(json, "http_timeout", legacy),
      advanced_signatures: member(json, "advanced_signatures", "boolean"),
      rate_limit: member(json, "rate_limit", "integer"),
      rate_limit_duration_s: seconds(json, "rate_limit_duration", legacy),
    };
    const fields = Object.fromEntries(
      Object.entries(given).filter(([, value]) => value !== undefined),
    );
    const row = updateEndpoint(context, c.req.param("id"), { ...fields, name, url: checkUrl(url) });
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
