/** The arguments of `npm run deploy`: read whole before anything is done, so that a typo does nothing. */
import { parseArgs } from "node:util";
import { isClose } from "./typo.ts";

/** What `npm run deploy` was asked to do. */
export type DeployArguments = {
  /** "" is the top level of wrangler.toml; undefined: not said. */
  env: string | undefined;
  name: string | undefined;
  config: string | undefined;
  secretsFile: string | undefined;
  dryRun: boolean;
  /** For the creation of the database: `--location=…` or `--jurisdiction=…`. */
  place: string[];
  /** For every call of wrangler. */
  global: string[];
  /** For `wrangler deploy` alone. */
  passed: string[];
};

type Kind = "one" | "many" | "flag";

/** Options of ours, or of every step. */
const OURS: Record<string, Kind> = {
  env: "one",
  name: "one",
  config: "one",
  "secrets-file": "one",
  "dry-run": "flag",
  location: "one",
  jurisdiction: "one",
  help: "flag",
  profile: "one",
  "env-file": "many",
};
/** Options that go to `wrangler deploy` as they are. Not those that replace what this project is made of. */
const PASSED: Record<string, Kind> = {
  tag: "one",
  message: "one",
  var: "many",
  "keep-vars": "flag",
  strict: "flag",
  minify: "flag",
  "upload-source-maps": "flag",
  outdir: "one",
  outfile: "one",
  metafile: "one",
  define: "many",
  tsconfig: "one",
  "compatibility-date": "one",
  "compatibility-flag": "many",
  "compatibility-flags": "many",
  route: "many",
  routes: "many",
  domain: "many",
  domains: "many",
  logpush: "flag",
  "old-asset-ttl": "one",
};
const KINDS: Record<string, Kind> = { ...OURS, ...PASSED };
const SHORT: Record<string, string> = { e: "env", c: "config", h: "help" };

const LOCATIONS = ["weur", "eeur", "apac", "oc", "wnam", "enam"];
const JURISDICTIONS = ["eu", "fedramp", "us"];

/** npm's own options as well: a user's .npmrc may set them, or npm checks them and keeps them. */
const NPMS_OWN = ["tag", "message", "location"];

export const USAGE = `Usage: npm run deploy -- [options]
  --env, -e NAME        the environment of wrangler.toml ([env.NAME]); without it CLOUDFLARE_ENV, or the top level
  --config, -c FILE     another file than wrangler.toml
  --secrets-file FILE   the Worker's secrets: lines of NAME=value, or JSON
  --dry-run             builds and says what would be done; nothing is created, migrated or uploaded
  --location ${LOCATIONS.join("|")}
  --jurisdiction ${JURISDICTIONS.join("|")}
                        where the database is made, if it is not there yet
  --profile, --env-file for every call of wrangler
For \`wrangler deploy\`: ${Object.keys(PASSED)
  .map((name) => `--${name}`)
  .join(" ")}
The "--" is needed: npm keeps what stands before it.`;

/**
 * Reads the arguments.
 * @param environment of npm, which shows the options that it kept for itself
 * @throws Error that names the wrong one, and what was probably meant
 */
export function parseArguments(
  args: string[],
  environment: NodeJS.Dict<string>,
): DeployArguments | "help" {
  refuseEaten(environment);
  const given = collect(args);
  if (given.get("help")?.includes("true")) return "help";
  const one = (name: string) => given.get(name)?.[0];
  const written = (names: string[]) =>
    names.flatMap((name) => (given.get(name) ?? []).map((value) => optionOf(name, value)));
  demandOneOf("location", one("location"), LOCATIONS);
  demandOneOf("jurisdiction", one("jurisdiction"), JURISDICTIONS);
  if (given.has("location") && given.has("jurisdiction")) {
    throw new Error("--location has no effect beside --jurisdiction: give one of them.");
  }
  return {
    env: one("env"),
    name: one("name"),
    config: one("config"),
    secretsFile: one("secrets-file"),
    dryRun: one("dry-run") === "true",
    place: written(["location", "jurisdiction"]),
    global: written(["profile", "env-file"]),
    passed: written(Object.keys(PASSED)),
  };
}

function optionOf(name: string, value: string): string {
  if (KINDS[name] !== "flag") return `--${name}=${value}`;
  return value === "true" ? `--${name}` : `--no-${name}`;
}

/** Each option's values, in any spelling that wrangler takes. */
function collect(args: string[]): Map<string, string[]> {
  const given = new Map<string, string[]>();
  const types = Object.entries(KINDS).map(([name, kind]) => {
    const short = Object.entries(SHORT).find(([, long]) => long === name)?.[0];
    const type = kind === "flag" ? ("boolean" as const) : ("string" as const);
    return [name, { type, ...(short ? { short } : {}) }] as const;
  });
  const { tokens } = parseArgs({
    args: args.map(kebab),
    options: Object.fromEntries(types),
    strict: false,
    tokens: true,
  });
  for (const token of tokens) {
    if (token.kind === "positional") {
      throw new Error(`"${token.value}" belongs to no option: npm run deploy -- --option VALUE …`);
    }
    if (token.kind === "option-terminator") continue;
    const [name, value] = valued(token);
    const values = given.get(name) ?? [];
    if (values.length > 0 && KINDS[name] !== "many") throw new Error(`--${name} is given twice.`);
    given.set(name, [...values, value]);
  }
  return given;
}

type OptionToken = { name: string; rawName: string; value?: string | undefined };

function valued({ name, rawName, value }: OptionToken): [name: string, value: string] {
  const positive = name.replace(/^no-/, "");
  if (!Object.hasOwn(KINDS, name) && KINDS[positive] !== "flag") {
    throw new Error(`${rawName} is not an option here.${meant(name)}`);
  }
  if (KINDS[positive] === "flag") {
    if (value !== undefined && value !== "true" && value !== "false") {
      throw new Error(`${rawName} takes true or false, not "${value}".`);
    }
    return [positive, String((value !== "false") === (name === positive))];
  }
  // `-e=staging`, which wrangler takes for staging.
  const text = /^-\w$/.test(rawName) ? value?.replace(/^=/, "") : value;
  const isMissing = text === undefined || (text === "" && name !== "env");
  if (isMissing || text.startsWith("-")) throw new Error(`${rawName} needs a value.`);
  return [name, text];
}

/** `--dryRun` as `--dry-run`: wrangler takes both. Values stay as they are. */
function kebab(arg: string): string {
  const [, name, rest = ""] = /^--([A-Za-z][\w-]*)(.*)$/s.exec(arg) ?? [];
  return name ? `--${name.replace(/[A-Z]/g, (big) => `-${big.toLowerCase()}`)}${rest}` : arg;
}

function demandOneOf(name: string, value: string | undefined, allowed: string[]): void {
  if (value === undefined || allowed.includes(value)) return;
  throw new Error(`--${name} is one of ${allowed.join(", ")}, not "${value}".`);
}

/** npm keeps what stands before the "--" and passes nothing on: a dry run would deploy. */
function refuseEaten(environment: NodeJS.Dict<string>): void {
  const names = [...Object.keys(KINDS), "call"].filter((name) => !NPMS_OWN.includes(name));
  for (const [key, value] of Object.entries(environment)) {
    const [, kept] = /^npm_config_(.+)$/i.exec(key) ?? [];
    if (!kept || value === undefined) continue;
    const found = names.find((name) => isClose(kept, name));
    if (!found) continue;
    // npm takes -c for its own --call.
    const option = found === "call" ? "config" : found;
    const text = value === "true" ? "VALUE" : value;
    const right = KINDS[option] === "flag" ? `--${option}` : `--${option} ${text}`;
    throw new Error(
      `npm kept --${kept.replaceAll("_", "-")} for itself, so nothing was done. Write: npm run deploy -- ${right}`,
    );
  }
}

function meant(name: string): string {
  const near = Object.keys(KINDS).find((known) => isClose(name, known));
  return near ? ` Did you mean --${near}?` : "";
}
