/** /portal-link: HTTP in, HTTP out. */

import { convoyOf } from "./convoy/client.ts";
import { createPortalLink, isUnlicensed } from "./convoy/portal.ts";
import { refusal } from "./endpoint/routes.ts";
import { newApp, problem } from "./http.ts";

/** POST /portal-link: Convoy's own dashboard, scoped to the owner's endpoints. */
export const portalLink = newApp().post("/", async (c) => {
  const owner = c.get("owner");
  const answer = await createPortalLink(convoyOf(c.env), owner, `Webhooks of ${owner}`);
  if (isUnlicensed(answer)) {
    throw problem(
      502,
      "This Convoy gives no portal links (Access denied): they need a licence. Endpoints can be managed under /endpoint.",
    );
  }
  if (!answer.ok) throw refusal(answer);
  const { url } = answer.data ?? {};
  if (typeof url !== "string" || url === "") throw problem(502, "Convoy gave no portal link.");
  return c.json({ url }, 201);
});
