/** What docs/deploy.md promises, against the part of Cloudflare's API that wrangler calls. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { migrate } from "../../local/dev/worker.ts";
import { type CloudflareApi, startCloudflareApi } from "../support/cloudflare-api.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
/** Largest bundle, gzipped: a small one starts fast. */
const BUNDLE_MAX_BYTES = 40 * 1024;

const SECRETS = ["AUTH_SECRET", "CONVOY_API_KEY", "CONVOY_PROJECT_ID"];

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "deploy-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function run(
  script: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const options = {
      cwd: ROOT,
      env: { ...process.env, ...env },
    };
    execFile(process.execPath, [script, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) || 1 : 0, output: stdout + stderr });
    });
  });
}

test("a dry run builds a bundle that is small enough, and names every binding", async () => {
  const { code, output } = await run("scripts/deploy.ts", ["--dry-run", "--outdir", directory]);
  expect({ code, output }).toMatchObject({ code: 0 });
  for (const name of ["env.KV", "env.DB", "env.RATE_LIMIT", "env.AUTH"]) {
    expect(output).toContain(name);
  }
  const bundle = readFileSync(path.join(directory, "index.js"));
  const bytes = gzipSync(bundle).length;
  console.info(`bundle: ${bytes} bytes gzipped`);
  // All of it: an empty file is small, too.
  expect(bundle.length).toBeGreaterThan(100_000);
  expect(bytes).toBeLessThanOrEqual(BUNDLE_MAX_BYTES);
});

test("the migrations apply to an empty database, and again to the same one", async () => {
  await migrate(ROOT, directory);
  await migrate(ROOT, directory);
});

describe("npm run deploy", () => {
  let api: CloudflareApi;
  beforeEach(async () => {
    api = await startCloudflareApi();
  });
  afterEach(() => api.close());

  const deploy = (...args: string[]) =>
    run("scripts/deploy.ts", args, {
      CLOUDFLARE_API_BASE_URL: api.url,
      CLOUDFLARE_API_TOKEN: "token of the test",
      CLOUDFLARE_ACCOUNT_ID: "account",
    });
  const toml = () => readFileSync(path.join(ROOT, "wrangler.toml"), "utf8");
  const database = (): DatabaseSync => {
    const [only] = api.databases.values();
    if (!only) throw new Error("no database");
    return only.sqlite;
  };

  test("makes the database and KV, migrates, deploys, and says what is missing; then uses them again", async () => {
    const before = toml();
    const first = await deploy();
    expect(first).toMatchObject({ code: 0 });
    expect(toml()).toBe(before);

    expect([...api.databases.values()].map(({ name }) => name)).toEqual(["todo-webhooks"]);
    expect([...api.namespaces.values()]).toEqual(["todo-webhooks-kv"]);
    const tables = database().prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    expect(tables.map(({ name }) => name)).toEqual(expect.arrayContaining(["event", "endpoint"]));

    const uploaded = api.calls.findIndex((one) => /^PUT \/workers\/scripts\/[^/]+$/.test(one));
    const lastQuery = api.calls.findLastIndex((one) => one.endsWith("/query"));
    expect(lastQuery).toBeGreaterThan(0);
    expect(uploaded).toBeGreaterThan(lastQuery);

    const [bindings = []] = api.uploads;
    const [id] = api.databases.keys();
    const [namespace_id] = api.namespaces.keys();
    expect(bindings).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: "AUTH", text: "jwt" }),
        expect.objectContaining({ name: "KV", type: "kv_namespace", namespace_id }),
        expect.objectContaining({ name: "DB", type: "d1", id }),
        expect.objectContaining({ name: "RATE_LIMIT", type: "ratelimit" }),
      ]),
    );
    expect(api.crons).toEqual(["* * * * *"]);
    for (const name of SECRETS) expect(first.output).toContain(`wrangler secret put ${name}`);

    const row = `INSERT INTO endpoint VALUES ('kept', 'o', 'n', 'u', '', 10, 'active', NULL, NULL, 0, 0)`;
    database().exec(row);
    const file = path.join(directory, "secrets.env");
    writeFileSync(file, SECRETS.map((name) => `${name}=do-not-show\n`).join(""));
    const second = await deploy("--secrets-file", file);
    expect(second).toMatchObject({ code: 0 });
    expect(second.output).not.toContain("secret put");
    expect(second.output).not.toContain("do-not-show");
    expect([api.databases.size, api.namespaces.size, api.uploads.length]).toEqual([1, 1, 2]);
    expect(api.uploads[1]).toEqual(expect.arrayContaining(bindings));
    expect([...api.secrets].sort()).toEqual(SECRETS);
    expect(database().prepare("SELECT id FROM endpoint").all()).toEqual([{ id: "kept" }]);
  });

  test("a migration that fails stops it before any traffic meets the new code", async () => {
    const sqlite = new DatabaseSync(":memory:");
    sqlite.exec("CREATE TABLE event (in_the_way INTEGER)");
    api.databases.set("1", { name: "todo-webhooks", sqlite });
    const { code } = await deploy();
    expect(code).not.toBe(0);
    expect(api.calls.filter((one) => one.includes("/workers/"))).toEqual([]);
  });

  test("without a login it says how to log in, and changes nothing", async () => {
    const { code, output } = await run("scripts/deploy.ts", [], {
      CLOUDFLARE_API_BASE_URL: api.url,
      CLOUDFLARE_API_TOKEN: "",
      HOME: directory,
      XDG_CONFIG_HOME: directory,
    });
    expect(code).not.toBe(0);
    expect(output).toContain("npx wrangler login");
    expect(api.calls).toEqual([]);
  });
});
