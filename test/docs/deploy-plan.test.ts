/** What `npm run deploy` decides before it does anything: arguments, where it goes, secrets. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { unstable_getVarsForDev as getVarsForDev } from "wrangler";
import { parseArguments, USAGE } from "../../scripts/deploy/arguments.ts";
import { readSecrets } from "../../scripts/deploy/secrets.ts";
import { targetOf } from "../../scripts/deploy/target.ts";
import { varsOf } from "../../scripts/dotenv.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const VALUE = "do-not-show-do-not-show-do-not-show";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "deploy-plan-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));
const write = (text: string | Uint8Array, name = "secrets") => {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  return file;
};

describe("arguments", () => {
  const given = (args: string[]) => {
    const said = Object.entries(parseArguments(args, {}));
    return Object.fromEntries(said.filter(([, value]) => value && String(value) !== ""));
  };

  test.each<[args: string[], means: object]>([
    [[], {}],
    [["--env", "staging"], { env: "staging" }],
    [["--env=staging"], { env: "staging" }],
    [["-e", "staging"], { env: "staging" }],
    [["-estaging"], { env: "staging" }],
    [["--name=x"], { name: "x" }],
    [["-c", "other.toml"], { config: "other.toml" }],
    [["--secrets-file", "f"], { secretsFile: "f" }],
    [["--dry-run"], { dryRun: true }],
    [["--no-dry-run"], {}],
    [["--location", "weur"], { place: ["--location=weur"] }],
    [["--jurisdiction=eu"], { place: ["--jurisdiction=eu"] }],
    [
      ["--var", "A:b", "--var=C:d", "--no-minify"],
      { passed: ["--var=A:b", "--var=C:d", "--no-minify"] },
    ],
    [["--message", "a b", "--keep-vars"], { passed: ["--message=a b", "--keep-vars"] }],
    [["-h", "--dry-run"], { help: true, dryRun: true }],
  ])("%j", (args, means) => {
    expect(given(args)).toEqual(means);
  });

  test("an empty --env is the top level, and is not the same as none", () => {
    expect(parseArguments(["--env="], {})).toMatchObject({ env: "" });
    expect(parseArguments(["--env", ""], {})).toMatchObject({ env: "" });
    expect(parseArguments([], {})).toMatchObject({ env: undefined });
  });

  test.each<[args: string[], says: RegExp]>([
    [["--dry-rn"], /--dry-rn/],
    [["--dryRun"], /--dryRun/],
    [["--dry-run=true"], /--dry-run.* does not take an argument/],
    [["--dry-run", "true"], /'true'/],
    [["staging"], /'staging'/],
    [["--", "--dry-run"], /'--dry-run'/],
    [["--env"], /--env.* argument missing/],
    [["--env", "--dry-run"], /--env.* argument is ambiguous/],
    [["--cwd", "/"], /--cwd/],
    [["--dispatch-namespace=x"], /--dispatch-namespace/],
    [["-x"], /-x/],
    [["--toString"], /--toString/],
  ])("%j is refused", (args, says) => {
    expect(() => parseArguments(args, {})).toThrow(says);
    expect(() => parseArguments(args, {})).toThrow("Usage: npm run deploy");
  });

  test.each<[kept: NodeJS.Dict<string>, says: string]>([
    [{ npm_config_dry_run: "true" }, "npm run deploy -- --dry-run"],
    [{ npm_config_dryrun: "true" }, "npm run deploy -- --dry-run"],
    [{ npm_config_env: "staging" }, "npm run deploy -- --env staging"],
    [{ npm_config_env: "true" }, "npm run deploy -- --env"],
    [{ npm_config_name: "x" }, "npm run deploy -- --name x"],
    [{ npm_config_call: "x.toml" }, "npm run deploy -- --config x.toml"],
    [{ npm_config_secretsfile: "f" }, "npm run deploy -- --secrets-file f"],
    [{ npm_config_jurisdiction: "eu" }, "npm run deploy -- --jurisdiction eu"],
    [{ npm_config_keep_vars: "true" }, "npm run deploy -- --keep-vars"],
  ])("what npm kept for itself is noticed: %j", (kept, says) => {
    expect(() => parseArguments([], kept)).toThrow(says);
  });

  test("npm's own settings are none of ours", () => {
    const npm = {
      npm_config_yes: "",
      npm_config_audit: "",
      npm_config_strict_ssl: "",
      npm_config_message: "v%s",
    };
    expect(parseArguments([], { ...npm, npm_config_nodedir: "/usr" })).toMatchObject({
      dryRun: false,
    });
  });

  test("the usage names every option", () => {
    for (const name of [
      "env",
      "config",
      "secrets-file",
      "dry-run",
      "location",
      "jurisdiction",
      "tag",
    ]) {
      expect(USAGE).toContain(`--${name}`);
    }
  });
});

describe("where it goes", () => {
  const TOML = readFileSync(path.join(ROOT, "wrangler.toml"), "utf8");
  const toml = (more: string, base = TOML) => write(`${base}\n${more}`, "wrangler.toml");
  const KV = `[[env.staging.kv_namespaces]]\nbinding = "KV"\n`;
  const db = (name: string, more = "") =>
    `[[env.staging.d1_databases]]\nbinding = "DB"\ndatabase_name = "${name}"\n${more}\n`;

  test("the top level, whatever environments there are", () => {
    const expected = {
      env: "",
      worker: "todo-webhooks",
      database: { name: "todo-webhooks", id: undefined },
      crons: ["* * * * *"],
      vars: ["AUTH"],
    };
    expect(targetOf(toml(""), "")).toMatchObject(expected);
    expect(targetOf(toml(`[env.staging]\n${KV}${db("todo-webhooks")}`), "")).toMatchObject(
      expected,
    );
    expect(targetOf(toml(""), "", "todo-webhooks")).toMatchObject(expected);
  });

  test("an environment with its own database", () => {
    const own = `[env.staging]\nvars = { AUTH_JWKS_URL = "https://i.example/k" }\n${KV}${db("todo-staging")}`;
    expect(targetOf(toml(own), "staging")).toMatchObject({
      worker: "todo-webhooks-staging",
      database: { name: "todo-staging" },
      crons: ["* * * * *"],
      vars: ["AUTH_JWKS_URL"],
    });
    const quiet = `[env.staging]\ntriggers = { crons = [] }\n${KV}${db("todo-staging")}`;
    expect(targetOf(toml(quiet), "staging").crons).toEqual([]);
  });

  test("the database that Cloudflare's button wrote into the file", () => {
    const base = TOML.replace(
      'database_name = "todo-webhooks"',
      'database_name = "mine"\ndatabase_id = "0a1b"',
    );
    expect(targetOf(toml("", base), "").database).toEqual({ name: "mine", id: "0a1b" });
  });

  test("an environment that describes the same Worker may have its database", () => {
    const same = `[env.production]\nname = "todo-webhooks"\n[[env.production.kv_namespaces]]\nbinding = "KV"\n[[env.production.d1_databases]]\nbinding = "DB"\ndatabase_name = "todo-webhooks"\n`;
    expect(targetOf(toml(same), "production")).toMatchObject({ worker: "todo-webhooks" });
  });

  test.each<[what: string, more: string, says: RegExp]>([
    ["no such environment", "", /no environment "staging"\. docs\/deploy\.md/],
    ["another environment only", `[env.prod]\nname = "p"`, /no environment "staging"/],
    ["no bindings", `[env.staging]\nname = "s"`, /binds no namespace as KV/],
    ["no database", `[env.staging]\n${KV}`, /binds no database as DB/],
    [
      "a database under another binding",
      `[env.staging]\n${KV}${db("x").replace("DB", "OTHER")}`,
      /binds no database as DB/,
    ],
    [
      "a database without a name",
      `[env.staging]\n${KV}${db("x").replace('database_name = "x"', "")}`,
      /no database_name/,
    ],
    [
      "the top level's database",
      `[env.staging]\n${KV}${db("todo-webhooks")}`,
      /"todo-webhooks".* of the Worker todo-webhooks/,
    ],
    [
      "another environment's database",
      `[env.staging]\n${KV}${db("b")}[env.b]\n${KV.replace("staging", "b")}${db("b").replace("staging", "b")}`,
      /"b".* of the Worker todo-webhooks-b/,
    ],
  ])("an environment with %s is refused", (_, more, says) => {
    expect(() => targetOf(toml(more), "staging")).toThrow(says);
  });

  test("ids that belong to another Worker are refused", () => {
    const base = TOML.replace(
      'database_name = "todo-webhooks"',
      'database_name = "p"\ndatabase_id = "1"',
    ).replace('binding = "KV"', 'binding = "KV"\nid = "2"');
    const database = `[env.staging]\n${KV}${db("s", 'database_id = "1"')}`;
    expect(() => targetOf(toml(database, base), "staging")).toThrow(/database "s"/);
    const namespace = `[env.staging]\n${KV}id = "2"\n${db("s", 'database_id = "3"')}`;
    expect(() => targetOf(toml(namespace, base), "staging")).toThrow(/KV namespace 2/);
  });

  test("--name is refused: it would be a second Worker with the same database", () => {
    expect(() => targetOf(toml(""), "", "x")).toThrow(/database of todo-webhooks: give it/);
    const own = `[env.staging]\n${KV}${db("s")}`;
    expect(() => targetOf(toml(own), "staging", "x")).toThrow(/database of todo-webhooks-staging/);
  });

  test("a file in JSON is read and refused alike", () => {
    const KV_JSON = [{ binding: "KV" }];
    const dbs = (database_name: string) => [{ binding: "DB", database_name }];
    const env = {
      mine: { kv_namespaces: KV_JSON, d1_databases: dbs("mine") },
      same: { kv_namespaces: KV_JSON, d1_databases: dbs("todo") },
    };
    const all = { name: "todo", kv_namespaces: KV_JSON, d1_databases: dbs("todo"), env };
    const file = write(`{ // JSONC\n${JSON.stringify(all).slice(1)}`, "wrangler.jsonc");
    expect(targetOf(file, "mine")).toMatchObject({
      worker: "todo-mine",
      database: { name: "mine" },
    });
    expect(() => targetOf(file, "same")).toThrow(/"todo".* of the Worker todo\./);
    expect(() => targetOf(file, "none")).toThrow(/no environment "none"/);
  });

  test("a file that is not there is refused", () => {
    expect(() => targetOf(path.join(directory, "no.toml"), "")).toThrow("no.toml");
  });
});

describe("a file of secrets", () => {
  test.each<[name: string, text: string, says: RegExp]>([
    ["AUTH", `AUTH_SECRET=${VALUE}\nAUTH="open"`, /names AUTH:/],
    ["AUTH, indented and exported", `  export AUTH = open`, /names AUTH:/],
    ["AUTH with a colon, which wrangler reads, too", `AUTH: open`, /names AUTH:/],
    ["AUTH behind a BOM", `\uFEFFAUTH=open`, /names AUTH:/],
    ["OPEN_HOSTS", `OPEN_HOSTS=api.example`, /names OPEN_HOSTS:/],
    ["a setting for development", `CONVOY_BASE_URL=http://127.0.0.1/api`, /\[vars\]/],
    ["a misspelt name", `AUTH_SERCET=${VALUE}`, /names AUTH_SERCET:/],
    ["a weak AUTH_SECRET", `AUTH_SECRET=weak`, /at least 32 bytes/],
    ["a weak AUTH_SECRET after a comment sign", `AUTH_SECRET=weak#${VALUE}`, /at least 32 bytes/],
    ["a variable for a secret", `AUTH_SECRET=$STRONG`, /at least 32 bytes/],
    ["a weak PORTAL_SECRET", `PORTAL_SECRET: weak`, /at least 32 bytes/],
    ["the documents' placeholder", `CONVOY_API_KEY=…`, /CONVOY_API_KEY has no value/],
    ["an empty value", `CONVOY_API_KEY=\nCONVOY_PROJECT_ID=x`, /CONVOY_API_KEY has no value/],
    ["nothing", "# nothing\n", /no line NAME=value/],
  ])("with %s is refused, and nothing of it is shown", (_, text, says) => {
    const file = write(text);
    expect(() => readSecrets(file)).toThrow(says);
    expect(() => readSecrets(file)).not.toThrow("do-not-show");
  });

  test("in UTF-16, or that is not there, is refused", () => {
    const utf16 = Buffer.from(`\uFEFFAUTH_SECRET=${VALUE}`, "utf16le");
    expect(() => readSecrets(write(utf16))).toThrow(/UTF-16/);
    expect(() => readSecrets(path.join(directory, "none"))).toThrow(/no such file/);
  });

  test.each<[text: string, value: string]>([
    [`AUTH_SECRET=${VALUE}`, VALUE],
    [`\uFEFFAUTH_SECRET=${VALUE}\r\n# AUTH=open\r\n`, VALUE],
    [`export AUTH_SECRET = '${VALUE}' # a comment`, VALUE],
    [`AUTH_SECRET="a${VALUE}\\nb"`, `a${VALUE}\nb`],
    [`AUTH_SECRET="${VALUE}\nAUTH=open"`, `${VALUE}\nAUTH=open`],
    [`AUTH_SECRET=\`${VALUE}\``, VALUE],
    [`AUTH_SECRET=$HOME\${PATH}\\$x${VALUE}`, `$HOME\${PATH}\\$x${VALUE}`],
  ])("%j", (text, value) => {
    expect(readSecrets(write(text))).toEqual({ AUTH_SECRET: value });
  });
});

test.each([
  `\uFEFFA=1\nB=2`,
  `A: 1\r\nexport B = "x\\ny" # c`,
  `A='it''s'\nB="multi\nline"\nC=\`"'\``,
  `A=a#b\nB= spaced \nC=$HOME\nD=\n E=1\nA=2`,
])(".dev.vars is read as wrangler reads it: %j", (text) => {
  const file = write(text, ".dev.vars");
  const wranglers = getVarsForDev(
    path.join(directory, "wrangler.toml"),
    undefined,
    {},
    undefined,
    true,
  );
  const values = Object.entries(wranglers).map(([name, { value }]) => [name, value]);
  expect(varsOf(file)).toEqual(Object.fromEntries(values));
  expect(Object.keys(varsOf(file)).length).toBeGreaterThan(1);
  expect(varsOf(path.join(directory, "none"))).toEqual({});
});
