/** What a deployment is about to touch: one environment's Worker, and the database that is its own. */
import path from "node:path";
import { type Unstable_Config as Config, unstable_readConfig as readConfig } from "wrangler";

export type Target = {
  /** "" is the top level of the file. */
  env: string;
  worker: string;
  /** Without an `id`, wrangler finds the database by name. With one it exists: Cloudflare's button wrote it. */
  database: { name: string; id: string | undefined };
  crons: string[];
  /** Names under [vars]. */
  vars: string[];
};

const HOW = 'docs/deploy.md, "A second Worker", has what to write.';

/**
 * What an environment of a wrangler.toml names. A second Worker with the first one's database would mix
 * their todos and events, and migrate the one that is in use.
 * @param config the file; undefined: the one that wrangler finds
 * @param name of the Worker, if `--name` gave one
 * @throws Error if the environment is not there, lacks a binding, or if its database or namespace is
 *   another Worker's
 */
export function targetOf(config: string | undefined, env: string, name?: string): Target {
  const read = (one: string) => readConfig({ config, env: one }, { hideWarnings: true });
  const { definedEnvironments = [], configPath = "wrangler.toml" } = read("");
  const file = path.basename(configPath);
  if (env !== "" && !definedEnvironments.includes(env)) {
    throw new Error(`${file} has no environment "${env}". ${HOW}`);
  }
  const own = read(env);
  const worker = own.name;
  if (!worker) throw new Error(`${file} names no Worker: name = "…".`);
  if (name !== undefined && name !== worker) {
    throw new Error(
      `--name ${name} would be a second Worker with the database of ${worker}: give it an environment. ${HOW}`,
    );
  }
  const where = env === "" ? file : `[env.${env}] in ${file}`;
  const { database, namespace } = bound(own);
  // No environment inherits bindings.
  if (!namespace) throw new Error(`${where} binds no namespace as KV. ${HOW}`);
  if (!database) throw new Error(`${where} binds no database as DB. ${HOW}`);
  if (!database.database_name) {
    throw new Error(`${where} gives the database that it binds as DB no database_name.`);
  }
  // The top level is the first Worker: what it names is its own.
  const others = env === "" ? [] : ["", ...definedEnvironments].filter((one) => one !== env);
  for (const other of others.map(read)) demandOwn(own, other, where);
  return {
    env,
    worker,
    database: { name: database.database_name, id: database.database_id },
    crons: own.triggers.crons ?? [],
    vars: Object.keys(own.vars),
  };
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
