/** The contract of /portal-link. */
import * as z from "zod/mini";
import { PORTAL_LINK_MAX_MIN } from "./config.ts";

/** Body of POST /portal-link; all of it may be left out. */
export const NewPortalLink = z.strictObject({
  expires_in_minutes: z.optional(z.int().check(z.gte(1), z.lte(PORTAL_LINK_MAX_MIN))),
});

/** Answer of POST /portal-link. `expires_at` is null while AUTH is "open": the link holds no token. */
export const PortalLink = z.object({ url: z.string(), expires_at: z.nullable(z.iso.datetime()) });
