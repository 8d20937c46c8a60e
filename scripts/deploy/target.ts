/** What a deployment is about to touch: one environment's Worker, and the database that is its own. */
import { existsSync } from "node:fs";
import path from "node:path";
import { type Unstable_Config as Config, unstable_readConfig as readConfig } from "wrangler";

/** Where a deployment goes. */
export type Target = {
  config: string;
  /** "" is the top level of the file. */
  env: string;
  worker: string;
  /** Without an `id`, wrangler finds the database by name. With one it exists: Cloudflare's button wrote it. */
  database: { name: string; id: string | undefined };
  crons: string[];
  /** Names under [vars]. */
  vars: string[];
};

/** The order in which wrangler looks for its file. */
const CONFIG_FILES = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/** The file that wrangler reads. @throws Error if there is none */
export function configOf(root: string, given: string | undefined): string {
  const names = given === undefined ? CONFIG_FILES : [given];
  const found = names.map((name) => path.resolve(root, name)).find((file) => existsSync(file));
  if (!found) throw new Error(`${given ?? "wrangler.toml"} is not there.`);
  return found;
}

/**
 * What an environment of a wrangler.toml names. A second Worker with the first one's database would mix
 * their todos and events, and migrate the one that is in use.
 * @param name of the Worker, if `--name` gave one
 * @throws Error that says what to write, if the environment is not there, lacks a binding, or if its
 *   database or namespace is another Worker's
 */
export function targetOf(config: string, env: string, name?: string): Target {
  const file = path.basename(config);
  const read = (one: string) => readConfig({ config, env: one }, { hideWarnings: true });
  const { definedEnvironments = [] } = read("");
  if (env !== "" && !definedEnvironments.includes(env)) {
    throw new Error(
      `${file} has no environment "${env}".${howTo(file, env, `${read("").name}-${env}`)}`,
    );
  }
  const own = read(env);
  const worker = own.name;
  if (!worker) throw new Error(`${file} names no Worker: name = "…".`);
  if (name !== undefined && name !== worker) {
    throw new Error(
      `--name ${name} would be a second Worker with the database of ${worker}. Give it an environment.${howTo(file, name, name)}`,
    );
  }
  const where = env === "" ? file : `[env.${env}] in ${file}`;
  const database = demandBindings(own, where, () => howTo(file, env, worker));
  // The top level is the first Worker: what it names is its own.
  const others = env === "" ? [] : ["", ...definedEnvironments].filter((one) => one !== env);
  for (const other of others.map(read)) demandOwn(own, other, where);
  return {
    config,
    env,
    worker,
    database,
    crons: own.triggers.crons ?? [],
    vars: Object.keys(own.vars),
  };
}

/** @throws Error if the database or the namespace is missing: no environment inherits bindings */
function demandBindings(own: Config, where: string, advice: () => string): Target["database"] {
  const { database, namespace } = bound(own);
  if (!namespace) throw new Error(`${where} binds no namespace as KV.${advice()}`);
  if (!database) throw new Error(`${where} binds no database as DB.${advice()}`);
  const { database_name, database_id } = database;
  if (!database_name) {
    throw new Error(`${where} gives the database that it binds as DB no database_name.`);
  }
  return { name: database_name, id: database_id };
}

/** @throws Error if another Worker's database or namespace is bound here */
function demandOwn(own: Config, other: Config, where: string): void {
  // The same Worker, described twice.
  if (own.name === other.name) return;
  const [mine, theirs] = [bound(own), bound(other)];
  const named = mine.database?.database_name === theirs.database?.database_name;
  const sameId = mine.database?.database_id === theirs.database?.database_id;
  const bothIds = mine.database?.database_id && theirs.database?.database_id;
  if (mine.database && theirs.database && (bothIds ? sameId : named)) {
    throw new Error(
      `${where} binds the database "${mine.database.database_name}", which is that of the Worker ${other.name}. Give it another database_name, and its own database_id or none.`,
    );
  }
  if (mine.namespace?.id && mine.namespace.id === theirs.namespace?.id) {
    throw new Error(
      `${where} binds the KV namespace ${mine.namespace.id}, which is that of the Worker ${other.name}. Take the id out: wrangler makes one.`,
    );
  }
}

function bound(config: Config) {
  return {
    database: config.d1_databases.find(({ binding }) => binding === "DB"),
    namespace: config.kv_namespaces.find(({ binding }) => binding === "KV"),
  };
}

/** The block to paste. */
function howTo(file: string, env: string, name: string): string {
  if (env === "") return "";
  if (!file.endsWith(".toml")) return ' See docs/deploy.md, "A second Worker".';
  return ` An environment needs in ${file}:

[env.${env}]
name = "${name}"

[env.${env}.vars]
AUTH = "jwt"

[[env.${env}.kv_namespaces]]
binding = "KV"

[[env.${env}.d1_databases]]
binding = "DB"
database_name = "${name}"
migrations_dir = "migrations"

[[env.${env}.ratelimits]]
name = "RATE_LIMIT"
namespace_id = "1002"
simple = { limit = 1000, period = 10 }

and is deployed with: npm run deploy -- --env ${env}`;
}
