/** /health: HTTP in, HTTP out. */
import { Hono } from "hono";
import type { AppEnv } from "../app.ts";

/** GET /health: the Worker runs. */
export const health = new Hono<AppEnv>().get("/", (c) => c.json({ status: "ok" }, 200));
