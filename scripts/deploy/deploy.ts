/**
 * A deployment, step by step. First everything is read and checked: arguments, wrangler.toml, secrets. Then the
 * environment's own database is created and migrated, before code that needs it takes traffic; wrangler creates the KV
 * namespace.
 */
import path from "node:path";
import type { Result } from "../../local/wrangler.ts";
import { varsOf } from "../dotenv.ts";
import { type DeployArguments, parseArguments, USAGE } from "./arguments.ts";
import { readSecrets, type Secrets, writeForWrangler } from "./secrets.ts";
import { type Target, targetOf } from "./target.ts";

/** Settings the Worker needs, one of each line; without them it answers 503 and says so. */
const NEEDED = [["AUTH_SECRET", "AUTH_JWKS_URL"], ["CONVOY_API_KEY"], ["CONVOY_PROJECT_ID"]];
/** Settings that must not be secrets: they would override wrangler.toml out of sight. */
const OPENING = ["AUTH", "OPEN_HOSTS"];

/** Runs wrangler. Quiet: what it prints is in the result. */
export type Wrangler = (args: string[], options?: { quiet: boolean }) => Promise<Result>;

/** Where a deployment takes place: the repository, the shell's variables, and what it does there. */
export type Surroundings = {
  root: string;
  env: NodeJS.Dict<string>;
  writeAssets: () => void;
  wrangler: Wrangler;
};

type Plan = { given: DeployArguments; target: Target; secrets: Secrets | undefined };

/** Deploys as the arguments say, and prints what it does. @returns the exit code */
export async function deploy(argv: string[], at: Surroundings): Promise<number> {
  try {
    const given = parseArguments(argv, at.env);
    if (!given.help) return await carryOut(planOf(given, at), at);
    console.log(USAGE);
    return 0;
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
}

/** @throws Error that says what is wrong; nothing has been done yet */
function planOf(given: DeployArguments, { root, env }: Surroundings): Plan {
  // CLOUDFLARE_ENV, from where wrangler would take it.
  const { CLOUDFLARE_ENV = "" } = {
    ...varsOf(path.join(root, ".env")),
    ...varsOf(path.join(root, ".env.local")),
    ...env,
  };
  const target = targetOf(given.config, given.env ?? CLOUDFLARE_ENV, given.name);
  const file = given.secretsFile;
  const secrets = file === undefined ? undefined : readSecrets(path.resolve(root, file));
  return { given, target, secrets };
}

async function carryOut({ given, target, secrets }: Plan, at: Surroundings): Promise<number> {
  const { database, env } = target;
  const where = [...(given.config ? [`--config=${given.config}`] : []), `--env=${env}`];
  const wrangler: Wrangler = (args, options) => at.wrangler([...args, ...where], options);
  say(target, secrets);
  if (given.dryRun) return (await wrangler(["deploy", "--dry-run", ...given.passed])).code;
  at.writeAssets();
  // With an id, it exists: Cloudflare's deploy button has written the id, and maybe another name.
  const failed =
    database.id === undefined ? await makeDatabase(wrangler, target, given.place) : null;
  if (failed) return fail(failed);
  const migrated = await wrangler(["d1", "migrations", "apply", database.name, "--remote"]);
  if (migrated.code !== 0) return migrated.code;
  const upload = secrets ? [`--secrets-file=${writeForWrangler(secrets)}`] : [];
  const deployed = await wrangler(["deploy", ...upload, ...given.passed]);
  if (deployed.code === 0) await sayWhatIsWrong(wrangler, target);
  return deployed.code;
}

function say({ worker, database, crons }: Target, secrets: Secrets | undefined): void {
  const names = secrets ? `, secrets ${Object.keys(secrets).join(", ")}` : "";
  console.log(`Worker ${worker}, D1 database ${database.name}${names}`);
  if (crons.length > 0) return;
  console.error(
    `${worker} has no cron ([triggers] crons = ["* * * * *"]): what a request leaves unfinished is never sent.`,
  );
}

/** Creates the database if there is none. @returns what failed, or null if it now exists */
async function makeDatabase(wrangler: Wrangler, { database: { name } }: Target, place: string[]) {
  const listed = await wrangler(["d1", "list", "--json"], { quiet: true });
  if (listed.code !== 0) return listed;
  const databases = JSON.parse(listed.stdout) as { name: string }[];
  if (databases.some((one) => one.name === name)) {
    if (place.length > 0) console.error(`${name} is there already: ${place[0]} has no effect.`);
    return null;
  }
  // Quiet: wrangler would advise to put the id into wrangler.toml.
  const made = await wrangler(["d1", "create", name, ...place], { quiet: true });
  if (made.code !== 0) return made;
  console.log(`Created the D1 database ${name}.`);
  return null;
}

function fail({ code, stdout, stderr }: Result): number {
  console.error(stdout + stderr);
  console.error("Not logged in? `npx wrangler login`, or set CLOUDFLARE_API_TOKEN.");
  return code;
}

/** Reports settings that are missing, and secrets that must not be set. */
async function sayWhatIsWrong(wrangler: Wrangler, { env, vars }: Target): Promise<void> {
  const listed = await wrangler(["secret", "list", "--format", "json"], { quiet: true });
  if (listed.code !== 0) return;
  const names = (JSON.parse(listed.stdout) as { name: string }[]).map(({ name }) => name);
  const flag = env === "" ? "" : ` --env ${env}`;
  for (const name of OPENING.filter((name) => names.includes(name))) {
    console.error(
      `\n${name} is among the Worker's secrets and overrides wrangler.toml. Remove it:`,
    );
    console.error(`  npx wrangler secret delete ${name}${flag}`);
  }
  const set = [...names, ...vars];
  const missing = NEEDED.filter((either) => !either.some((name) => set.includes(name)));
  if (missing.length === 0) return;
  console.log("\nUntil these are set (or named in wrangler.toml's [vars]), the API answers 503:");
  for (const [name] of missing) console.log(`  npx wrangler secret put ${name}${flag}`);
}
