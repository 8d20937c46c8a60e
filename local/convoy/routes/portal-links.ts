// /portal-links: licensed in the real one, so refused unless the `portal` setting is on.
import { randomBytes } from "node:crypto";
import { Hono } from "hono";
import { member, readBody, strings } from "../body.ts";
import type { Context } from "../context.ts";
import { Refusal, success } from "../envelope.ts";
import { equals, page } from "../paging.ts";

type Row = {
  uid: string;
  name: string;
  owner_id: string;
  auth_type: string;
  token: string;
  can_manage_endpoint: number;
  created_at: string;
  updated_at: string;
};

/** The part of the API that makes links to Convoy's portal; the schema is openapi3.json's PortalLinkResponse. */
export function portalLinkRoutes(context: Context): Hono {
  const routes = new Hono();

  const view = (row: Row) => {
    const owned = context.db.all<{ uid: string }>(
      "SELECT uid FROM endpoint WHERE owner_id = ? AND deleted_at IS NULL ORDER BY uid",
      row.owner_id,
    );
    return {
      uid: row.uid,
      name: row.name,
      project_id: context.options.projectId,
      owner_id: row.owner_id,
      endpoints: [],
      endpoint_count: owned.length,
      can_manage_endpoint: row.can_manage_endpoint === 1,
      token: row.token,
      auth_key: row.auth_type === "refresh_token" ? row.token : "",
      auth_type: row.auth_type,
      url: `http://convoy.invalid/portal?token=${row.token}&owner_id=${encodeURIComponent(row.owner_id)}`,
      endpoints_metadata: [],
      created_at: row.created_at,
      updated_at: row.updated_at,
      deleted_at: null,
    };
  };

  routes.use(async (_, next) => {
    if (!context.options.portal) throw new Refusal(401, "Access denied");
    await next();
  });

  routes.post("/", async (c) => {
    const { json } = await readBody(c.req.raw);
    const name = member(json, "name", "string");
    if (!name) throw new Refusal(400, "name:please provide a portal link name");
    strings(json, "endpoints");
    const at = context.timestamp();
    const row: Row = {
      uid: context.id(),
      name,
      owner_id: member(json, "owner_id", "string") ?? "",
      auth_type: member(json, "auth_type", "string") || "static_token",
      token: randomBytes(18).toString("base64url"),
      can_manage_endpoint: Number(member(json, "can_manage_endpoint", "boolean") ?? false),
      created_at: at,
      updated_at: at,
    };
    context.db.run(
      `INSERT INTO portal_link (uid, name, owner_id, auth_type, token, can_manage_endpoint, created_at, updated_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      ...Object.values(row),
    );
    return success(201, "Portal link created successfully", view(row));
  });

  routes.get("/", (c) => {
    const query = new URL(c.req.url).searchParams;
    const conditions = equals("owner_id", query.get("ownerId"));
    const { content, pagination } = page<Row>(context, "portal_link", conditions, query);
    return success(200, "Portal links fetched successfully", {
      content: content.map(view),
      pagination,
    });
  });

  const found = (uid: string): Row => {
    const row = context.db.get<Row>("SELECT * FROM portal_link WHERE uid = ?", uid);
    if (!row) throw new Refusal(404, "portal link not found");
    return row;
  };

  routes.get("/:id", (c) =>
    success(200, "Portal link fetched successfully", view(found(c.req.param("id")))),
  );

  routes.get("/:id/refresh_token", (c) =>
    success(200, "Portal link fetched successfully", found(c.req.param("id")).token),
  );

  routes.put("/:id/revoke", (c) => {
    context.db.run("DELETE FROM portal_link WHERE uid = ?", found(c.req.param("id")).uid);
    return success(200, "Portal link revoked successfully", null);
  });

  return routes;
}
