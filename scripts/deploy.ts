/**
 * npm run deploy [-- wrangler's own options]: deploys the Worker, or a new version of it. A secrets file
 * may hold only secrets: AUTH="open" from a .dev.vars would open the Worker to everybody. The database is
 * created and migrated before code that needs it takes traffic; wrangler creates the KV namespace. There
 * are no prompts, and wrangler.toml stays unchanged (docs/deploy.md).
 */
import "../local/wrangler-env.ts";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { writeAssets } from "../openapi/assets.ts";
import { databaseOf } from "./database.ts";
import { checkSecretsFiles } from "./secrets-file.ts";

const root = join(import.meta.dirname, "..");
const wrangler = join(root, "node_modules/wrangler/bin/wrangler.js");
/** Settings the Worker needs, one of each line; without them it answers 503 and says so. */
const NEEDED = [["AUTH_SECRET", "AUTH_JWKS_URL"], ["CONVOY_API_KEY"], ["CONVOY_PROJECT_ID"]];

/** Settings that must not be secrets: they would override wrangler.toml out of sight. */
const OPENING = ["AUTH", "OPEN_HOSTS"];

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  try {
    checkSecretsFiles(args, root);
  } catch (error) {
    console.error((error as Error).message);
    return 1;
  }
  writeAssets();
  if (args.includes("--dry-run")) return (await run(["deploy", ...args])).code;
  const { name, id } = databaseOf(join(root, "wrangler.toml"));
  // With an id, it exists: Cloudflare's deploy button has written the id, and maybe another name.
  const made = id === undefined ? await makeDatabase(name) : null;
  if (made) return fail(made);
  const migrated = await run(["d1", "migrations", "apply", name, "--remote"]);
  if (migrated.code !== 0) return migrated.code;
  const deployed = await run(["deploy", ...args]);
  if (deployed.code === 0) await sayWhatIsWrong();
  return deployed.code;
}

/** Creates the database if there is none. @returns what failed, or null if it now exists */
async function makeDatabase(name: string): Promise<Result | null> {
  const listed = await run(["d1", "list", "--json"], { quiet: true });
  if (listed.code !== 0) return listed;
  if (new RegExp(`"name":\\s*"${name}"`).test(listed.output)) return null;
  // Quiet: wrangler would advise to put the id into wrangler.toml.
  const made = await run(["d1", "create", name], { quiet: true });
  if (made.code !== 0) return made;
  console.log(`Created the D1 database ${name}.`);
  return null;
}

type Result = { code: number; output: string };

// CI: wrangler shows no prompts and writes no ids into wrangler.toml, which would move the local state.
function run(args: string[], { quiet = false } = {}): Promise<Result> {
  if (!quiet) console.log(`> wrangler ${args.join(" ")}`);
  const child = spawn(process.execPath, [wrangler, ...args], {
    cwd: root,
    stdio: quiet ? ["ignore", "pipe", "pipe"] : "inherit",
    env: { ...process.env, CI: "true" },
  });
  let output = "";
  child.stdout?.on("data", (chunk) => (output += chunk));
  child.stderr?.on("data", (chunk) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? 1, output }));
  });
}

function fail({ code, output }: Result): number {
  console.error(output);
  console.error("Not logged in? `npx wrangler login`, or set CLOUDFLARE_API_TOKEN.");
  return code;
}

/** Reports settings that are missing, and secrets that must not be set. */
async function sayWhatIsWrong(): Promise<void> {
  const listed = await run(["secret", "list", "--format", "json"], { quiet: true });
  const set = /"name":\s*"(\w+)"/g;
  const names = [...listed.output.matchAll(set)].map((match) => match[1]);
  for (const name of OPENING.filter((name) => names.includes(name))) {
    console.error(
      `\n${name} is among the Worker's secrets and overrides wrangler.toml. Remove it:`,
    );
    console.error(`  npx wrangler secret delete ${name}`);
  }
  const missing = NEEDED.filter((either) => !either.some((name) => names.includes(name)));
  if (listed.code !== 0 || missing.length === 0) return;
  console.log("\nUntil these are set (or named in wrangler.toml's [vars]), the API answers 503:");
  for (const [name] of missing) console.log(`  npx wrangler secret put ${name}`);
}
