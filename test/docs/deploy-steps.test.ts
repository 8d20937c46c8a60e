/** The steps of `npm run deploy`, in their order, with a wrangler that only notes what it is asked. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Result } from "../../local/wrangler.ts";
import { deploy } from "../../scripts/deploy/deploy.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const SECRETS = ["AUTH_SECRET", "CONVOY_API_KEY", "CONVOY_PROJECT_ID"];
const VALUE = "do-not-show-do-not-show-do-not-show";

let directory: string;
let said: string[];
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "deploy-steps-"));
  said = [];
  for (const how of ["log", "error"] as const) {
    vi.spyOn(console, how).mockImplementation((line) => void said.push(String(line)));
  }
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const write = (name: string, text: string) => {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  return file;
};
const secretsFile = () =>
  write("secrets.env", SECRETS.map((name) => `${name}=${VALUE}\n`).join(""));

/** What is there, and which command fails, and how. */
type Account = {
  databases?: string[];
  secrets?: string[];
  fails?: { command: string; with: Result };
};

const FINE = { code: 0, stdout: "", stderr: "" };

/** Deploys. @returns the exit code, what was said, wrangler's commands, and the secrets that it was given */
async function run(args: string[], account: Account = {}, env: NodeJS.Dict<string> = {}) {
  const { databases = [], secrets = [], fails } = account;
  const commands: string[] = [];
  const uploaded: string[] = [];
  let assets = 0;
  const code = await deploy(args, {
    root: ROOT,
    env,
    writeAssets: () => void assets++,
    async wrangler(given) {
      const command = given.join(" ");
      commands.push(command);
      if (fails && command.startsWith(fails.command)) return fails.with;
      const [, file] = /--secrets-file=(\S+)/.exec(command) ?? [];
      if (file) uploaded.push(readFileSync(file, "utf8"));
      if (command.startsWith("d1 list")) {
        return { ...FINE, stdout: JSON.stringify(databases.map((name) => ({ name }))) };
      }
      if (command.startsWith("secret list")) {
        return { ...FINE, stdout: JSON.stringify(secrets.map((name) => ({ name }))) };
      }
      return FINE;
    },
  });
  return { code, output: said.join("\n"), commands, uploaded, assets };
}

const HERE = "--env=";

test("a first deployment creates the database, migrates it, uploads, and says what is missing", async () => {
  const { code, output, commands, assets } = await run([]);
  expect(code).toBe(0);
  expect(commands).toEqual([
    `d1 list --json ${HERE}`,
    `d1 create todo-webhooks ${HERE}`,
    `d1 migrations apply todo-webhooks --remote ${HERE}`,
    `deploy ${HERE}`,
    `secret list --format json ${HERE}`,
  ]);
  expect(assets).toBe(1);
  expect(output).toContain("Created the D1 database todo-webhooks.");
  for (const name of SECRETS)
    expect(output).toMatch(new RegExp(`wrangler secret put ${name}$`, "m"));
});

test("the next one creates nothing, and says what opens the Worker", async () => {
  const there = { databases: ["todo-webhooks"], secrets: ["AUTH", ...SECRETS] };
  const args = ["--location=weur", `--secrets-file=${secretsFile()}`];
  const { code, output, commands, uploaded } = await run(args, there);
  expect(code).toBe(0);
  expect(commands.map((one) => one.split(" ").slice(0, 2).join(" "))).toEqual([
    ...["d1 list", "d1 migrations", `deploy ${/--secrets-file=\S+/.exec(commands[2] ?? "")}`],
    "secret list",
  ]);
  for (const name of SECRETS) expect(uploaded[0]).toContain(name);
  expect(output).toContain("--location=weur has no effect");
  expect(output).toMatch(/AUTH is among .* secrets[\s\S]*wrangler secret delete AUTH$/m);
  expect(output).not.toContain("secret put");
  expect(output).not.toContain("do-not-show");
});

describe("with [env.staging]", () => {
  const config = (more = "") =>
    write(
      "wrangler.toml",
      `${readFileSync(path.join(ROOT, "wrangler.toml"), "utf8")}
[env.staging]
[[env.staging.kv_namespaces]]
binding = "KV"
[[env.staging.d1_databases]]
binding = "DB"
database_name = "its-own"
${more}
`,
    );

  test("every step is staging's", async () => {
    const file = config();
    const where = `--config=${file} --env=staging`;
    const args = ["--config", file, "--env", "staging", "--jurisdiction=eu"];
    const { code, commands, output } = await run(args);
    expect(code).toBe(0);
    expect(commands).toEqual([
      `d1 list --json ${where}`,
      `d1 create its-own --jurisdiction=eu ${where}`,
      `d1 migrations apply its-own --remote ${where}`,
      `deploy ${where}`,
      `secret list --format json ${where}`,
    ]);
    for (const name of SECRETS) {
      expect(output).toMatch(new RegExp(`secret put ${name} --env staging$`, "m"));
    }
  });

  test("a database with an id is there: it is not looked for", async () => {
    const args = ["-c", config('database_id = "0a1b"'), "--env=staging"];
    const { commands } = await run(args);
    expect(commands[0]).toMatch(/^d1 migrations apply its-own --remote/);
  });

  test.each<[args: string[], worker: string, database: string]>([
    [[], "todo-webhooks-staging", "its-own"],
    [["--env="], "todo-webhooks", "todo-webhooks"],
  ])(
    "with CLOUDFLARE_ENV a dry run with %j builds %s, and does nothing else",
    async (args, worker, database) => {
      const all = ["-c", config(), "--dry-run", ...args, "--secrets-file", secretsFile()];
      const { code, output, commands, assets } = await run(all, {}, { CLOUDFLARE_ENV: "staging" });
      expect(code).toBe(0);
      expect(output).toContain(`Worker ${worker}, D1 database ${database}, secrets AUTH_SECRET,`);
      const env = args.length === 0 ? "staging" : "";
      expect(commands).toEqual([expect.stringMatching(`^deploy --dry-run .* --env=${env}$`)]);
      expect(assets).toBe(0);
    },
  );
});

test.each<[args: string[], env: Record<string, string>, code: number, says: string]>([
  [["--name", "x"], {}, 1, "database of todo-webhooks"],
  [["--dry-rn"], { CLOUDFLARE_ENV: "staging" }, 1, "Unknown option '--dry-rn'"],
  [[], { npm_config_dry_run: "true" }, 1, "npm run deploy -- --dry-run"],
  [[], { CLOUDFLARE_ENV: "staging" }, 1, 'no environment "staging"'],
  [["--help"], {}, 0, "Usage: npm run deploy"],
])("%j with %j does nothing", async (args, env, expected, says) => {
  const { code, output, commands, assets } = await run(args, {}, env);
  expect({ code, commands, assets }).toEqual({ code: expected, commands: [], assets: 0 });
  expect(output).toContain(says);
});

test("a migration that fails stops it before the new code is uploaded", async () => {
  const fails = { command: "d1 migrations", with: { ...FINE, code: 3 } };
  const { code, commands } = await run([], { fails });
  expect(code).toBe(3);
  expect(commands.filter((one) => one.startsWith("deploy"))).toEqual([]);
});

test("an upload that fails is the end", async () => {
  const fails = { command: "deploy", with: { ...FINE, code: 4 } };
  const { code, commands } = await run([], { fails });
  expect(code).toBe(4);
  expect(commands.at(-1)).toMatch(/^deploy /);
});

test.each(["d1 list", "d1 create"])(
  "if %s fails, it shows what wrangler said, and how to log in; nothing is changed",
  async (command) => {
    const fails = { command, with: { code: 1, stdout: "", stderr: "You are not authenticated" } };
    const { code, output, commands } = await run([], { fails });
    expect(code).toBe(1);
    expect(output).toContain("You are not authenticated");
    expect(output).toContain("npx wrangler login");
    expect(commands.at(-1)).toMatch(command);
  },
);

test("refuses a file of secrets that opens the Worker, and does nothing", async () => {
  const file = write("open.env", `AUTH_SECRET=${VALUE}\nAUTH="open"\n`);
  const { code, output, commands } = await run(["--secrets-file", file]);
  expect({ code, commands }).toEqual({ code: 1, commands: [] });
  expect(output).toMatch(/AUTH:/);
  expect(output).not.toContain(VALUE);
  expect(existsSync(file)).toBe(true);
});
