/** What docs/deploy.md promises, against the part of Cloudflare's API that wrangler calls. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { migrate } from "../../local/dev/worker.ts";
import { type CloudflareApi, startCloudflareApi } from "../support/cloudflare-api.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
/** Largest bundle, gzipped: a small one starts fast. The aim is 50 KiB; the log with its SQL is 30, zod 9, hono 8, jose 5. */
const BUNDLE_MAX_BYTES = 80 * 1024;

const SECRETS = ["AUTH_SECRET", "CONVOY_API_KEY", "CONVOY_PROJECT_ID"];
const VALUE = "do-not-show-do-not-show-do-not-show";

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
  // An empty file is small, too.
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

  const account = () => ({
    CLOUDFLARE_API_BASE_URL: api.url,
    CLOUDFLARE_API_TOKEN: "token of the test",
    CLOUDFLARE_ACCOUNT_ID: "account",
  });
  const deploy = (...args: string[]) => run("scripts/deploy.ts", args, account());
  const toml = () => readFileSync(path.join(ROOT, "wrangler.toml"), "utf8");
  const databases = () => [...api.databases.values()];
  const tablesOf = (name: string) => {
    const found = databases().find((one) => one.name === name);
    const tables = "SELECT name FROM sqlite_master WHERE type = 'table'";
    return found?.sqlite
      .prepare(tables)
      .all()
      .map((table) => table.name);
  };
  const bindingsOf = (worker: string) =>
    api.uploads.findLast((one) => one.worker === worker)?.bindings;
  const secretsFile = (text: string) => {
    const file = path.join(directory, "secrets.env");
    writeFileSync(file, text);
    return file;
  };
  const GOOD = SECRETS.map((name) => `${name}=${VALUE}\n`).join("");

  test("creates the database and KV, migrates, deploys, says what is missing, and reuses them next time", async () => {
    const before = toml();
    const first = await deploy();
    expect(first).toMatchObject({ code: 0 });
    expect(toml()).toBe(before);

    expect(databases().map(({ name }) => name)).toEqual(["todo-webhooks"]);
    expect([...api.namespaces.values()]).toEqual(["todo-webhooks-kv"]);
    expect(tablesOf("todo-webhooks")).toEqual(expect.arrayContaining(["event", "endpoint"]));

    const uploaded = api.calls.findIndex((one) => /^PUT \/workers\/scripts\/[^/]+$/.test(one));
    const lastQuery = api.calls.findLastIndex((one) => one.endsWith("/query"));
    expect(lastQuery).toBeGreaterThan(0);
    expect(uploaded).toBeGreaterThan(lastQuery);

    const bindings = bindingsOf("todo-webhooks") ?? [];
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
    expect([...api.crons]).toEqual([["todo-webhooks", ["* * * * *"]]]);
    for (const name of SECRETS) expect(first.output).toContain(`wrangler secret put ${name}\n`);

    const [database] = databases();
    database?.sqlite.exec("CREATE TABLE kept (it)");
    api.secrets.set("todo-webhooks", new Set(["AUTH"]));
    // Nothing in the file is expanded, and a variable of the shell changes nothing.
    const file = secretsFile(`\uFEFF${GOOD}`.replace("=", "=$HOME\\$x"));
    const second = await run("scripts/deploy.ts", [`--secretsFile=${file}`, "--location=weur"], {
      ...account(),
      AUTH_SECRET: "weak",
      CONVOY_API_KEY: "another",
    });
    expect(second).toMatchObject({ code: 0 });
    expect(second.output).toContain("AUTH_SECRET in your shell is another one");
    const uploadedSecrets = bindingsOf("todo-webhooks")?.filter(({ name }) =>
      SECRETS.includes(name),
    );
    expect(uploadedSecrets?.map(({ text }) => text)).toEqual([`$HOME\\$x${VALUE}`, VALUE, VALUE]);
    const [, temporary = ""] = /--secrets-file=(\S+)/.exec(second.output) ?? [];
    expect(temporary).not.toBe("");
    expect(existsSync(temporary)).toBe(false);
    expect(second.output).toMatch(/AUTH is among .* secrets[\s\S]*wrangler secret delete AUTH\n/);
    expect(second.output).toContain("--location=weur has no effect");
    expect(second.output).not.toContain("secret put");
    expect(second.output).not.toContain("do-not-show");
    expect([api.databases.size, api.namespaces.size, api.uploads.length]).toEqual([1, 1, 2]);
    expect(bindingsOf("todo-webhooks")).toEqual(expect.arrayContaining(bindings));
    expect([...(api.secrets.get("todo-webhooks") ?? [])].sort()).toEqual(["AUTH", ...SECRETS]);
    expect(tablesOf("todo-webhooks")).toContain("kept");
  });

  describe("with [env.staging]", () => {
    const block = `
[env.staging]
[[env.staging.kv_namespaces]]
binding = "KV"
[[env.staging.d1_databases]]
binding = "DB"
database_name = "its-own"
migrations_dir = ${JSON.stringify(path.join(ROOT, "migrations"))}
`;
    const config = (more: string) => {
      const file = path.join(directory, "wrangler.toml");
      const here = (text: string, name: string) =>
        text.replace(`"${name}"`, JSON.stringify(path.join(ROOT, name)));
      const names = ["src/index.ts", "public", "migrations"];
      writeFileSync(file, names.reduce(here, toml()) + more);
      return file;
    };

    test("every step is staging's", async () => {
      const { code, output } = await deploy(
        ...["--config", config(block), "--env", "staging", "--jurisdiction=eu"],
      );
      expect({ code, output }).toMatchObject({ code: 0 });
      expect(databases().map(({ name }) => name)).toEqual(["its-own"]);
      expect(api.created).toEqual([
        expect.objectContaining({ name: "its-own", jurisdiction: "eu" }),
      ]);
      expect(tablesOf("its-own")).toEqual(expect.arrayContaining(["event", "endpoint"]));
      expect([...api.namespaces.values()]).toEqual(["todo-webhooks-staging-kv"]);
      expect(api.uploads.map(({ worker }) => worker)).toEqual(["todo-webhooks-staging"]);
      const [id] = api.databases.keys();
      expect(bindingsOf("todo-webhooks-staging")).toContainEqual(
        expect.objectContaining({ name: "DB", id }),
      );
      expect([...api.crons]).toEqual([["todo-webhooks-staging", ["* * * * *"]]]);
      for (const name of SECRETS) expect(output).toContain(`secret put ${name} --env staging\n`);
    });

    test.each<[args: string[], worker: string, database: string]>([
      [[], "todo-webhooks-staging", "its-own"],
      [["--env="], "todo-webhooks", "todo-webhooks"],
    ])(
      "with CLOUDFLARE_ENV a dry run with %j builds %s, and calls nothing",
      async (args, worker, database) => {
        const all = ["-c", config(block), "--dry-run=true", ...args];
        const { code, output } = await run(
          "scripts/deploy.ts",
          [...all, "--secrets-file", secretsFile(GOOD)],
          { ...account(), CLOUDFLARE_ENV: "staging" },
        );
        expect({ code, output }).toMatchObject({ code: 0 });
        expect(output).toContain(`Worker ${worker}, D1 database ${database}, secrets AUTH_SECRET,`);
        expect(output).toContain(`env.DB (${database})`);
        expect(api.calls).toEqual([]);
      },
    );
  });

  test.each<[args: string[], env: Record<string, string>, code: number, says: string]>([
    [["--name", "x"], {}, 1, "database of todo-webhooks"],
    [["--dry-rn"], { CLOUDFLARE_ENV: "staging" }, 1, "Did you mean --dry-run?"],
    [[], { npm_config_dry_run: "true" }, 1, "npm run deploy -- --dry-run"],
    [[], { CLOUDFLARE_ENV: "staging" }, 1, 'no environment "staging"'],
    [["--help"], {}, 0, "Usage: npm run deploy"],
  ])("%j with %j calls nothing", async (args, env, expected, says) => {
    const { code, output } = await run("scripts/deploy.ts", args, { ...account(), ...env });
    expect({ code, output }).toMatchObject({
      code: expected,
      output: expect.stringContaining(says),
    });
    expect(api.calls).toEqual([]);
  });

  test("a migration that fails stops it before the new code is uploaded", async () => {
    const sqlite = new DatabaseSync(":memory:");
    sqlite.exec("CREATE TABLE event (in_the_way INTEGER)");
    api.databases.set("1", { name: "todo-webhooks", sqlite });
    const { code } = await deploy();
    expect(code).not.toBe(0);
    expect(api.calls.filter((one) => one.includes("/workers/"))).toEqual([]);
  });

  test("refuses a file of secrets that opens the Worker, and changes nothing", async () => {
    const file = secretsFile(`AUTH_SECRET=${VALUE}\nAUTH="open"\n`);
    const { code, output } = await deploy("--secrets-file", file);
    expect({ code, output }).toMatchObject({ code: 1, output: expect.stringMatching(/AUTH:/) });
    expect(output).not.toContain(VALUE);
    expect(api.calls).toEqual([]);
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
