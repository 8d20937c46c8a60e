/** The part of Cloudflare's API that `npm run deploy` uses, in memory; records calls and their results. */
import { DatabaseSync } from "node:sqlite";
import { serve } from "@hono/node-server";
import { Hono } from "hono";

/** A binding of an uploaded Worker; `text` is the value of a variable or secret. */
export type UploadedBinding = {
  name: string;
  type: string;
  id?: string;
  namespace_id?: string;
  text?: string;
};

/** A Worker as it was uploaded. */
export type Upload = { worker: string; bindings: UploadedBinding[] };

/** An account, empty at first. */
export type CloudflareApi = {
  /** For CLOUDFLARE_API_BASE_URL. */
  url: string;
  /** METHOD /path below the account, in order. */
  calls: string[];
  /** Databases by id; real SQLite, so that migrations really run. */
  databases: Map<string, { name: string; sqlite: DatabaseSync }>;
  /** The bodies of the calls that made them. */
  created: object[];
  /** Titles of KV namespaces, by id. */
  namespaces: Map<string, string>;
  uploads: Upload[];
  /** Cron triggers as last set, by Worker. */
  crons: Map<string, string[]>;
  /** Names of secrets, by Worker. */
  secrets: Map<string, Set<string>>;
  close(): Promise<void>;
};

/** What wrangler reads from an uploaded version. */
const VERSION = {
  metadata: { has_preview: false },
  resources: { script: {}, script_runtime: {}, bindings: [] },
};

/** Starts one on a free port. */
export async function startCloudflareApi(): Promise<CloudflareApi> {
  const api = {
    calls: [] as string[],
    databases: new Map<string, { name: string; sqlite: DatabaseSync }>(),
    created: [] as object[],
    namespaces: new Map<string, string>(),
    uploads: [] as Upload[],
    crons: new Map<string, string[]>(),
    secrets: new Map<string, Set<string>>(),
  };
  const lastOf = (worker: string) => api.uploads.findLast((one) => one.worker === worker);
  const app = new Hono().basePath("/accounts/:account");
  const ok = (result: unknown) =>
    Response.json({ success: true, errors: [], messages: [], result });
  const refuse = (status: number, code: number, message: string) =>
    Response.json(
      { success: false, errors: [{ code, message }], messages: [], result: null },
      { status },
    );
  const missing = (code: number) => refuse(404, code, "not found");

  app.use(async (c, next) => {
    api.calls.push(`${c.req.method} ${c.req.path.replace(/^\/accounts\/[^/]+/, "")}`);
    await next();
  });
  app.get("/d1/database/:id", (c) => {
    const wanted = c.req.param("id");
    const found = [...api.databases].find(([id, { name }]) => id === wanted || name === wanted);
    return found ? ok({ uuid: found[0], name: found[1].name }) : missing(7404);
  });
  app.get("/d1/database", () => ok([...api.databases].map(([uuid, { name }]) => ({ uuid, name }))));
  app.post("/d1/database", async (c) => {
    const body = await c.req.json<{ name: string }>();
    const { name } = body;
    api.created.push(body);
    const uuid = crypto.randomUUID();
    api.databases.set(uuid, { name, sqlite: new DatabaseSync(":memory:") });
    return ok({ uuid, name });
  });
  app.post("/d1/database/:id/query", async (c) => {
    const database = api.databases.get(c.req.param("id"));
    if (!database) return missing(7404);
    const { sql } = await c.req.json<{ sql: string }>();
    try {
      return ok([{ results: query(database.sqlite, sql), success: true, meta: { duration: 0 } }]);
    } catch (error) {
      return refuse(400, 7500, String(error));
    }
  });
  app.get("/storage/kv/namespaces", () =>
    ok([...api.namespaces].map(([id, title]) => ({ id, title }))),
  );
  app.post("/storage/kv/namespaces", async (c) => {
    const id = crypto.randomUUID().replaceAll("-", "");
    api.namespaces.set(id, (await c.req.json<{ title: string }>()).title);
    return ok({ id });
  });
  app.get("/workers/scripts/:name/settings", (c) => {
    const last = lastOf(c.req.param("name"));
    return last ? ok({ bindings: last.bindings }) : missing(10007);
  });
  app.get("/workers/services/:name", (c) =>
    lastOf(c.req.param("name")) ? ok({ default_environment: { script: {} } }) : missing(10090),
  );
  app.get("/workers/scripts/:name/secrets", (c) => {
    const names = api.secrets.get(c.req.param("name")) ?? [];
    return ok([...names].map((name) => ({ name, type: "secret_text" })));
  });
  app.put("/workers/scripts/:name/schedules", async (c) => {
    const crons = await c.req.json<{ cron: string }[]>();
    api.crons.set(
      c.req.param("name"),
      crons.map(({ cron }) => cron),
    );
    return ok({ schedules: [] });
  });
  const upload = async (worker: string, request: Request) => {
    const form = await request.formData();
    const metadata = JSON.parse(String(form.get("metadata"))) as { bindings: UploadedBinding[] };
    const before = lastOf(worker)?.bindings ?? [];
    // An inherited binding keeps its value.
    const bindings = metadata.bindings.map((one) =>
      one.type === "inherit" ? (before.find(({ name }) => name === one.name) ?? one) : one,
    );
    api.uploads.push({ worker, bindings });
    const secrets = bindings.filter(({ type }) => type === "secret_text");
    const had = api.secrets.get(worker) ?? [];
    api.secrets.set(worker, new Set([...had, ...secrets.map(({ name }) => name)]));
    return ok({ id: crypto.randomUUID(), startup_time_ms: 1, ...VERSION });
  };
  // No buckets: as if the account already had all of these files.
  app.post("/workers/scripts/:name/assets-upload-session", () => ok({ jwt: "j", buckets: [] }));
  // The first deploy uploads the Worker itself; later ones upload a version and deploy it.
  app.put("/workers/scripts/:name", (c) => upload(c.req.param("name"), c.req.raw));
  app.post("/workers/scripts/:name/versions", (c) => upload(c.req.param("name"), c.req.raw));
  app.post("/workers/scripts/:name/deployments", () => ok({ id: crypto.randomUUID() }));
  app.patch("/workers/scripts/:name/script-settings", () => ok({}));
  const worker = { subdomain: { enabled: true, previews_enabled: false } };
  app.get("/workers/workers/:name", (c) => ok({ name: c.req.param("name"), ...worker }));
  app.patch("/workers/workers/:name", (c) => ok({ name: c.req.param("name"), ...worker }));
  app.get("/workers/scripts/:name/deployments", () => ok({ deployments: [] }));
  app.get("/workers/subdomain", () => ok({ subdomain: "test" }));
  app.get("/workers/scripts/:name/subdomain", () => ok({ enabled: true, previews_enabled: false }));
  app.post("/workers/scripts/:name/subdomain", () =>
    ok({ enabled: true, previews_enabled: false }),
  );
  app.all("*", () => missing(10007));

  const server = serve({ fetch: app.fetch, port: 0, hostname: "127.0.0.1" });
  await new Promise<void>((resolve) => server.once("listening", () => resolve()));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return {
    ...api,
    url: `http://127.0.0.1:${address.port}`,
    async close() {
      await new Promise((resolve) => server.close(resolve));
      for (const { sqlite } of api.databases.values()) sqlite.close();
    },
  };
}

/** D1's answer to a query: the rows of a SELECT or PRAGMA; other statements all run and return none. */
function query(sqlite: DatabaseSync, sql: string): unknown[] {
  if (/^\s*(SELECT|PRAGMA)/i.test(sql)) return sqlite.prepare(sql).all();
  sqlite.exec(sql);
  return [];
}
