/** What docs/deploy.md promises, against the part of Cloudflare's API that wrangler calls. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { migrate } from "../../local/dev/worker.ts";
import { databaseOf } from "../../scripts/database.ts";
import { checkSecretsFiles } from "../../scripts/secrets-file.ts";
import { type CloudflareApi, startCloudflareApi } from "../support/cloudflare-api.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
/** Largest bundle, gzipped: a small one starts fast. The aim is 40 KiB, which endpoint handling, jose and zod exceed. */
const BUNDLE_MAX_BYTES = 58 * 1024;

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

describe("a file of secrets", () => {
  const write = (text: string) => {
    const file = path.join(directory, "secrets");
    writeFileSync(file, text);
    return file;
  };

  test.each<[name: string, text: string, says: RegExp]>([
    ["AUTH", `AUTH_SECRET=${VALUE}\nAUTH="open"`, /names AUTH:/],
    ["AUTH, indented and exported", `  export AUTH = open`, /names AUTH:/],
    ["AUTH with a colon, which wrangler reads, too", `AUTH: open`, /names AUTH:/],
    ["AUTH in JSON", JSON.stringify({ CONVOY_API_KEY: VALUE, AUTH: "open" }), /names AUTH:/],
    ["OPEN_HOSTS", `OPEN_HOSTS=api.example`, /names OPEN_HOSTS:/],
    ["a setting for development", `CONVOY_BASE_URL=http://127.0.0.1/api`, /\[vars\]/],
    ["a misspelt name", `AUTH_SERCET=${VALUE}`, /names AUTH_SERCET:/],
    ["a weak AUTH_SECRET", `AUTH_SECRET=weak`, /at least 32 bytes/],
    ["the documents' placeholder", `AUTH_SECRET=…`, /at least 32 bytes/],
    ["a weak PORTAL_SECRET", `{"PORTAL_SECRET": "weak"}`, /at least 32 bytes/],
    ["invalid JSON", `{"AUTH_SECRET": "${VALUE}" // comment\n}`, /not valid JSON/],
  ])("with %s is refused, however the option is spelled", (_, text, says) => {
    const file = write(text);
    for (const args of [
      ["--secrets-file", file],
      [`--secrets-file=${file}`],
      ["--secretsFile", file],
    ]) {
      expect(() => checkSecretsFiles(["--minify", ...args], ROOT)).toThrow(says);
      expect(() => checkSecretsFiles(args, ROOT)).not.toThrow("do-not-show");
    }
    const good = ["--secrets-file", write("CONVOY_API_KEY=x")];
    expect(() => checkSecretsFiles([...good, "--secrets-file=none"], ROOT)).toThrow(/no such file/);
  });

  test("with only secrets is accepted", () => {
    const lines = [...SECRETS, "PORTAL_SECRET"].map((name) => `${name}=${VALUE}\n`).join("");
    checkSecretsFiles(["--secrets-file", write(`# AUTH=open\n${lines}`)], ROOT);
    checkSecretsFiles(["--secrets-file", "secrets"], directory);
  });
});

test("the database is the one that wrangler.toml binds, even after Cloudflare's deploy button wrote its id", () => {
  expect(databaseOf(path.join(ROOT, "wrangler.toml"))).toEqual({
    name: "todo-webhooks",
    id: undefined,
  });
  const config = path.join(directory, "wrangler.toml");
  const toml = readFileSync(path.join(ROOT, "wrangler.toml"), "utf8");
  const bound = 'database_name = "mine"\ndatabase_id = "0a1b"';
  writeFileSync(config, toml.replace('database_name = "todo-webhooks"', bound));
  expect(databaseOf(config)).toEqual({ name: "mine", id: "0a1b" });
  writeFileSync(config, 'name = "x"');
  expect(() => databaseOf(config)).toThrow("names no database");
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

  test("creates the database and KV, migrates, deploys, says what is missing, and reuses them next time", async () => {
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

    const row = `INSERT INTO endpoint VALUES ('kept', 'o', 'n', 'u', '', 10, 'active', NULL, NULL, 0, 0, NULL, NULL)`;
    database().exec(row);
    const file = path.join(directory, "secrets.env");
    writeFileSync(file, SECRETS.map((name) => `${name}=${VALUE}\n`).join(""));
    api.secrets.push("AUTH");
    const second = await deploy("--secrets-file", file);
    expect(second).toMatchObject({ code: 0 });
    expect(second.output).toMatch(/AUTH is among .* secrets[\s\S]*wrangler secret delete AUTH\n/);
    expect(second.output).not.toContain("secret put");
    expect(second.output).not.toContain("do-not-show");
    expect([api.databases.size, api.namespaces.size, api.uploads.length]).toEqual([1, 1, 2]);
    expect(api.uploads[1]).toEqual(expect.arrayContaining(bindings));
    expect([...api.secrets].sort()).toEqual(["AUTH", ...SECRETS]);
    expect(database().prepare("SELECT id FROM endpoint").all()).toEqual([{ id: "kept" }]);
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
    const file = path.join(directory, ".dev.vars");
    writeFileSync(file, `AUTH_SECRET=${VALUE}\nAUTH="open"\n`);
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
