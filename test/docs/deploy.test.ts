/** What docs/deploy.md promises, with the real wrangler, against the part of Cloudflare's API that it calls. */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { run } from "../../local/wrangler.ts";
import { deploy as deployHere } from "../../scripts/deploy/deploy.ts";
import { startCloudflareApi } from "../support/cloudflare-api.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
/**
 * Largest bundle, gzipped: a small one starts fast. The aim is 50 KiB; the log with its SQL is 27 of it, endpoints 10, all
 * else of ours 14, hono and zod 9 each, jose 5.
 */
const BUNDLE_MAX_BYTES = 76 * 1024;

const SECRETS = ["AUTH_SECRET", "CONVOY_API_KEY", "CONVOY_PROJECT_ID"];
const VALUE = "do-not-show-do-not-show-do-not-show";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "deploy-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function deploy(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const options = { cwd: ROOT, env: { ...process.env, ...env } };
    const all = ["scripts/deploy.ts", ...args];
    execFile(process.execPath, all, options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) || 1 : 0, output: stdout + stderr });
    });
  });
}

test("a dry run builds a bundle that is small enough, and names every binding", async () => {
  // In this process, which has loaded wrangler already.
  vi.spyOn(console, "log").mockImplementation(() => {});
  let output = "";
  const code = await deployHere(["--dry-run", "--outdir", directory], {
    root: ROOT,
    env: {},
    writeAssets() {},
    async wrangler(args) {
      const result = await run(ROOT, args, { quiet: true });
      output += result.stdout + result.stderr;
      return result;
    },
  });
  expect({ code, output }).toMatchObject({ code: 0 });
  for (const name of ["env.KV", "env.DB (todo-webhooks)", "env.RATE_LIMIT", "env.AUTH"]) {
    expect(output).toContain(name);
  }
  const bundle = readFileSync(path.join(directory, "index.js"));
  const bytes = gzipSync(bundle).length;
  console.info(`bundle: ${bytes} bytes gzipped`);
  // An empty file is small, too.
  expect(bundle.length).toBeGreaterThan(100_000);
  expect(bytes).toBeLessThanOrEqual(BUNDLE_MAX_BYTES);
});

/** wrangler.toml with an environment of its own, in a folder of its own. */
function withStaging(): string {
  const toml = readFileSync(path.join(ROOT, "wrangler.toml"), "utf8");
  const here = (text: string, name: string) =>
    text.replace(`"${name}"`, JSON.stringify(path.join(ROOT, name)));
  const file = path.join(directory, "wrangler.toml");
  const block = `
[env.staging]
[[env.staging.kv_namespaces]]
binding = "KV"
[[env.staging.d1_databases]]
binding = "DB"
database_name = "its-own"
migrations_dir = ${JSON.stringify(path.join(ROOT, "migrations"))}
`;
  writeFileSync(file, ["src/index.ts", "public", "migrations"].reduce(here, toml) + block);
  return file;
}

test("creates the database and KV, migrates, then uploads the Worker with its secrets: all of it staging's", async () => {
  const api = await startCloudflareApi();
  try {
    const file = path.join(directory, "secrets.env");
    const lines = SECRETS.map((name) => `${name}=${VALUE}\n`).join("");
    // Nothing in the file is expanded, and a variable of the shell changes nothing.
    writeFileSync(file, `\uFEFF${lines}`.replace("=", "=$HOME\\$x"));
    const config = withStaging();
    const before = readFileSync(config, "utf8");
    const { code, output } = await deploy(
      ["--config", config, "--env", "staging", "--jurisdiction=eu", `--secrets-file=${file}`],
      {
        CLOUDFLARE_API_BASE_URL: api.url,
        CLOUDFLARE_API_TOKEN: "token of the test",
        CLOUDFLARE_ACCOUNT_ID: "account",
        AUTH_SECRET: "weak",
        CONVOY_API_KEY: "another",
      },
    );
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(readFileSync(config, "utf8")).toBe(before);

    const [[id, database] = []] = [...api.databases];
    expect(api.databases.size).toBe(1);
    expect(api.created).toEqual([expect.objectContaining({ name: "its-own", jurisdiction: "eu" })]);
    const tables = database?.sqlite.prepare("SELECT name FROM sqlite_master WHERE type = 'table'");
    const names = tables?.all().map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["event", "delivery", "endpoint", "cron_state"]));
    const uploaded = api.calls.findIndex((one) => /^PUT \/workers\/scripts\/[^/]+$/.test(one));
    const lastQuery = api.calls.findLastIndex((one) => one.endsWith("/query"));
    expect(lastQuery).toBeGreaterThan(0);
    expect(uploaded).toBeGreaterThan(lastQuery);

    expect([...api.namespaces.values()]).toEqual(["todo-webhooks-staging-kv"]);
    const [namespace_id] = api.namespaces.keys();
    const [upload] = api.uploads;
    expect(api.uploads).toHaveLength(1);
    expect(upload?.worker).toBe("todo-webhooks-staging");
    expect(upload?.bindings).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: "KV", type: "kv_namespace", namespace_id }),
        expect.objectContaining({ name: "DB", type: "d1", id }),
      ]),
    );
    const secrets = upload?.bindings.filter(({ name }) => SECRETS.includes(name));
    expect(secrets?.map(({ text }) => text)).toEqual([`$HOME\\$x${VALUE}`, VALUE, VALUE]);
    expect([...api.crons]).toEqual([["todo-webhooks-staging", ["* * * * *"]]]);
    expect(output).not.toContain("secret put");
    expect(output).not.toContain("do-not-show");
    const [, temporary = ""] = /--secrets-file=(\S+)/.exec(output) ?? [];
    expect(temporary).not.toBe("");
    expect(existsSync(temporary)).toBe(false);
  } finally {
    await api.close();
  }
});
