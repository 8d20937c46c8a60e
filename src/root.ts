/** GET /: where to go from here, open to anyone. */
import * as z from "zod/mini";
import { newApp } from "./http.ts";
import { settingsOf } from "./settings.ts";

/** Response to GET /: paths of this service. `portal` only if it is turned on. */
export const Signpost = z.object({
  docs: z.string(),
  openapi: z.string(),
  portal: z.optional(z.string()),
  health: z.string(),
});

/** GET /. */
export const root = newApp().get("/", (c) => {
  const portal = settingsOf(c.env).portal ? { portal: "/portal/" } : {};
  return c.json({ docs: "/docs", openapi: "/openapi.json", ...portal, health: "/health" }, 200);
});
