// A Worker that receives the webhooks of the Todo API and keeps a copy of the list.
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { html } from "hono/html";
import { methodNotAllowed } from "hono/method-not-allowed";
import { secureHeaders } from "hono/secure-headers";
import { applyChange, Change } from "./apply.ts";
import { verifySignature } from "./verify.ts";

/** Bindings: the secret that POST /endpoint returned and, while it is being rotated, the previous one. */
export type ReceiverEnv = { DB: D1Database; WEBHOOK_SECRET?: string; WEBHOOK_SECRET_OLD?: string };

/** A webhook is a todo of at most 2,000 characters and a few short fields. */
const BODY_MAX_BYTES = 64 * 1024;
/** How long an event_id is remembered; after that, `sequence` alone still keeps the copy correct. */
const SEEN_FOR_MS = 30 * 24 * 3_600_000;
/** Most todos that the list shows, on a single page: this is an example. */
const LIST_MAX = 1_000;

const app = new Hono<{ Bindings: ReceiverEnv }>();
app.use(secureHeaders({ contentSecurityPolicy: { defaultSrc: ["'none'"] } }));
app.use(methodNotAllowed({ app }));

app.post(
  "/",
  bodyLimit({ maxSize: BODY_MAX_BYTES, onError: (c) => c.json({ error: "body too large" }, 413) }),
  async (c) => {
    const secrets = [c.env.WEBHOOK_SECRET ?? "", c.env.WEBHOOK_SECRET_OLD ?? ""];
    if (!secrets[0]) return unavailable("WEBHOOK_SECRET is not set");
    // The raw bytes: parsing and serializing again could give bytes other than those signed.
    const body = await c.req.arrayBuffer();
    if (!(await verifySignature(body, c.req.header("X-Convoy-Signature") ?? "", secrets))) {
      return c.json({ error: "X-Convoy-Signature does not sign this body" }, 401);
    }
    const event = parse(body);
    if (typeof event?.event !== "string") return c.json({ error: "body is not an event" }, 400);
    // retrieved, ping, failure and future types do not change the list, nor does a test. No 204: if a server adds
    // Content-Encoding to the empty body, as `wrangler dev` does, Convoy fails and tries again.
    const changes = ["created", "updated", "deleted"].includes(event.event) && event.test !== true;
    if (!changes || event.sequence === undefined) return c.json({ result: "ignored" });
    const change = Change.safeParse(event);
    if (!change.success) {
      const path = change.error.issues[0]!.path.join(".");
      return c.json({ error: `body is not a valid ${event.event} event: see ${path}` }, 400);
    }
    return c.json({ result: await applyChange(c.env.DB, change.data) });
  },
);

/** The todos of the copy, in id order. */
async function list(db: D1Database): Promise<{ id: number; item: string; completed: boolean }[]> {
  const rows = await db
    .prepare("SELECT todo FROM todo WHERE todo IS NOT NULL ORDER BY id LIMIT ?")
    .bind(LIST_MAX)
    .all<{ todo: string }>();
  return rows.results.map(({ todo }) => JSON.parse(todo));
}

app.get("/todo", async (c) => c.json({ data: await list(c.env.DB) }));
app.get("/", async (c) => {
  const todos = await list(c.env.DB);
  const items = todos.map(
    ({ id, item, completed }) => html`<li>${completed ? "☑" : "☐"} ${id}: ${item}</li>`,
  );
  return c.html(html`<!doctype html><html lang="en"><meta charset="utf-8"><title>Copy of the todo list</title>
<h1>Copy of the todo list</h1>${todos.length === 0 ? html`<p>Nothing yet.</p>` : html`<ul>${items}</ul>`}</html>`);
});

app.notFound((c) => c.json({ error: "Not found" }, 404));
app.onError((error) => {
  console.error("receiver", error.message);
  const noTables = error.message.includes("no such table");
  return unavailable(
    noTables ? "the database has no tables: apply the migrations" : "the database failed",
  );
});

/** Anything but a 2xx makes Convoy try again, so a failure here loses nothing. */
function unavailable(error: string): Response {
  return Response.json({ error }, { status: 503, headers: { "Retry-After": "60" } });
}

/** The body as JSON; undefined if it is not JSON. */
function parse(body: ArrayBuffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}

export default {
  fetch: app.fetch,
  /** Once a day: forgets event ids older than SEEN_FOR_MS. */
  scheduled: async (_controller, env) => {
    await env.DB.prepare("DELETE FROM seen WHERE seen_at < ?")
      .bind(Date.now() - SEEN_FOR_MS)
      .run();
  },
} satisfies ExportedHandler<ReceiverEnv>;
