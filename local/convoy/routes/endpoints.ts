// /endpoints
import { Hono } from "hono";
import * as z from "zod/mini";
import { flag, integer, object, readBody, text } from "../body.ts";
import type { Context } from "../context.ts";
import { readAuthentication, readClientCert } from "../credentials.ts";
import { Refusal, success } from "../envelope.ts";
import { equals, page } from "../paging.ts";
import {
  changeEndpoint,
  createEndpoint,
  deleteEndpoint,
  type EndpointRow,
  requireEndpoint,
  rotateSecret,
} from "../store/endpoints.ts";
import { endpointView } from "../views.ts";

/** http_timeout is checked and ignored (recorded). */
const Fields = z.object({
  name: text,
  url: text,
  description: text,
  owner_id: text,
  secret: text,
  advanced_signatures: flag,
  http_timeout: integer,
  rate_limit: integer,
  rate_limit_duration: z.nullish(z.int().check(z.nonnegative())),
  authentication: object,
  mtls_client_cert: object,
});
const Rotation = z.object({ secret: text, expiration: integer });

/** What a body sets; fields not sent are empty. */
function fieldsOf({ options }: Context, json: z.infer<typeof Fields>, clientCert: string | null) {
  return {
    description: json.description ?? "",
    rate_limit: json.rate_limit ?? 0,
    rate_limit_duration_s: json.rate_limit_duration ?? 0,
    authentication: readAuthentication(json.authentication, options.licensed),
    mtls_client_cert: readClientCert(json.mtls_client_cert, options.licensed, clientCert),
  };
}

/** The URL as given; 400 if it has no host (recorded) or is not HTTP (from Convoy's source). */
function checkUrl(value: string): string {
  const url = URL.parse(value);
  if (!url || url.host === "") throw new Refusal(400, "endpoint url must include a valid host");
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw new Refusal(400, "invalid endpoint scheme");
  return value;
}

export function endpointRoutes(context: Context): Hono {
  const routes = new Hono();

  routes.post("/", async (c) => {
    const { json } = await readBody(c.req.raw, Fields);
    const fields = {
      ...fieldsOf(context, json, null),
      owner_id: json.owner_id ?? "",
      advanced_signatures: Number(json.advanced_signatures ?? true),
    };
    const { name, url, secret } = json;
    if (!name || !url) throw new Refusal(400, "Invalid input provided");
    const row = createEndpoint(context, { ...fields, name, url: checkUrl(url) }, secret ?? "");
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
    const found = page<EndpointRow>(context, "endpoint", conditions, query);
    const content = found.content.map((row) => endpointView(context, row));
    return success(200, "Endpoints fetched successfully", { ...found, content });
  });

  routes.get("/:id", (c) => {
    const row = requireEndpoint(context, c.req.param("id"));
    return success(200, "Endpoint fetched successfully", endpointView(context, row));
  });

  // Replaces everything: fields not sent are lost, except owner, signatures, secrets and mtls_client_cert (seen).
  routes.put("/:id", async (c) => {
    const { json } = await readBody(c.req.raw, Fields);
    const now = requireEndpoint(context, c.req.param("id"));
    const { name, url } = json;
    const problems = [
      ...(url ? [] : ["url:please provide a url for your endpoint"]),
      ...(name ? [] : ["name:please provide your endpointName"]),
    ];
    if (!url || !name) throw new Refusal(400, problems.join(", "));
    const row = changeEndpoint(context, now.uid, {
      ...fieldsOf(context, json, now.mtls_client_cert),
      name,
      url: checkUrl(url),
      owner_id: json.owner_id ?? now.owner_id,
      advanced_signatures: Number(json.advanced_signatures ?? now.advanced_signatures),
      updated_at: context.timestamp(),
    });
    return success(202, "Endpoint updated successfully", endpointView(context, row, true));
  });

  routes.delete("/:id", (c) => {
    deleteEndpoint(context, c.req.param("id"));
    return success(200, "Endpoint deleted successfully", null);
  });

  const missing = { status: 400, message: "failed to find endpoint" };
  routes.put("/:id/pause", (c) => {
    const { uid, status } = requireEndpoint(context, c.req.param("id"), missing);
    if (status === "inactive")
      throw new Refusal(
        400,
        `current endpoint status - ${status}, does not support pausing or unpausing`,
      );
    const changed = { status: status === "active" ? "paused" : "active" } as const;
    const row = changeEndpoint(context, uid, changed);
    return success(202, "endpoint status updated successfully", endpointView(context, row));
  });

  routes.post("/:id/activate", (c) => {
    const { uid, status } = requireEndpoint(context, c.req.param("id"), missing);
    if (status === "active")
      throw new Refusal(400, `current endpoint status - ${status}, does not support activation`);
    const row = changeEndpoint(context, uid, { status: "active" });
    return success(200, "endpoint status successfully activated", endpointView(context, row));
  });

  routes.put("/:id/expire_secret", async (c) => {
    const { json } = await readBody(c.req.raw, Rotation);
    const { uid } = requireEndpoint(context, c.req.param("id"));
    const row = rotateSecret(context, uid, json.secret ?? "", json.expiration ?? 0);
    return success(200, "endpoint secret expired successfully", endpointView(context, row));
  });

  return routes;
}
