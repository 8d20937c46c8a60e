/** /portal-link: HTTP in, HTTP out. The page itself is static: public/portal/. */

import { isPortalOn, PORTAL_LINK_DEFAULT_MIN } from "./config.ts";
import { newApp, problem, requireJsonIfAny, valid } from "./http.ts";
import { NewPortalLink } from "./schema.ts";
import { mintPortalToken } from "./token.ts";

/** POST /portal-link: a link into the page where the caller's owner manages its webhooks. */
export const portalLink = newApp().post(
  "/",
  requireJsonIfAny,
  valid("json", NewPortalLink),
  async (c) => {
    if (!isPortalOn(c.env)) throw problem(404, "The portal is turned off here.");
    const page = new URL("/portal/", c.req.url);
    // Nobody has a token then, and the page needs none.
    if (c.env.AUTH === "open") return c.json({ url: page.href, expires_at: null }, 201);
    const { expires_in_minutes: minutes = PORTAL_LINK_DEFAULT_MIN } = c.req.valid("json");
    const expiresInS = minutes * 60;
    const expires_at = new Date(Date.now() + expiresInS * 1_000).toISOString();
    // In the fragment, which browsers do not send: it is in no server's log and no Referer.
    page.hash = `token=${await mintPortalToken(c.env, c.get("owner"), expiresInS)}`;
    return c.json({ url: page.href, expires_at }, 201);
  },
);
