/** POST /portal-link: a link to the page where the caller's owner manages its webhooks. */
import * as z from "zod/mini";
import { problem } from "./errors.ts";
import { newApp } from "./http.ts";
import { settingsOf } from "./settings.ts";
import { mintPortalToken } from "./token.ts";
import { validOptionalBody } from "./validate.ts";

/** How long a portal link is valid by default, in minutes: a visit. */
const PORTAL_LINK_DEFAULT_MIN = 60;
/** Longest life of a portal link, in minutes: a day, since it cannot be revoked. */
const PORTAL_LINK_MAX_MIN = 1_440;

/** Body of POST /portal-link; all of it is optional. */
export const NewPortalLink = z.strictObject({
  expires_in_minutes: z.optional(z.int().check(z.gte(1), z.lte(PORTAL_LINK_MAX_MIN))),
});

/** POST /portal-link. */
export const portalLink = newApp().post("/", validOptionalBody(NewPortalLink), async (c) => {
  const { auth, portal } = settingsOf(c.env);
  if (!portal) throw problem(404, "The portal is turned off here.");
  const page = new URL("/portal/", c.req.url);
  // There are no tokens then, and the page needs none.
  if (auth.mode === "open") return c.json({ url: page.href, expires_at: null }, 201);
  const { expires_in_minutes: minutes = PORTAL_LINK_DEFAULT_MIN } = c.req.valid("json");
  const expiresInS = minutes * 60;
  const expires_at = new Date(Date.now() + expiresInS * 1_000).toISOString();
  // In the fragment, which browsers do not send: it reaches no server's log and no Referer.
  page.hash = `token=${await mintPortalToken(c.env, c.get("owner"), expiresInS)}`;
  return c.json({ url: page.href, expires_at }, 201);
});
