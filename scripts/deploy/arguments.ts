/** The arguments of `npm run deploy`: read whole before anything is done, so that a typo does nothing. */
import { argumentsOf } from "../command.ts";

const TEXT = { type: "string" } as const;
const TEXTS = { type: "string", multiple: true } as const;
const FLAG = { type: "boolean" } as const;

/** Options that go to `wrangler deploy` as they are. Everything else about the Worker is in wrangler.toml. */
const PASSED = {
  tag: TEXT,
  message: TEXT,
  var: TEXTS,
  "keep-vars": FLAG,
  minify: FLAG,
  "upload-source-maps": FLAG,
  outdir: TEXT,
  route: TEXTS,
  domain: TEXTS,
};
const OPTIONS = {
  env: { ...TEXT, short: "e" },
  name: TEXT,
  config: { ...TEXT, short: "c" },
  "secrets-file": TEXT,
  "dry-run": FLAG,
  location: TEXT,
  jurisdiction: TEXT,
  help: { ...FLAG, short: "h" },
  ...PASSED,
};

/** npm's own options as well: a user's .npmrc may set them, or npm checks them and keeps them. */
const NPMS_OWN = ["tag", "message", "location"];

export const USAGE = `Usage: npm run deploy -- [options]
  --env, -e NAME        the environment of wrangler.toml ([env.NAME]); without it CLOUDFLARE_ENV, or the top level
  --config, -c FILE     another file than wrangler.toml
  --secrets-file FILE   the Worker's secrets: lines of NAME=value
  --dry-run             builds and says what would be done; nothing is created, migrated or uploaded
  --location PLACE      where the database is made, if it is not there yet (weur, eeur, apac, oc, wnam, enam),
  --jurisdiction PLACE  or where it must stay (eu, fedramp)
For \`wrangler deploy\`: ${Object.keys(PASSED)
  .map((name) => `--${name}`)
  .join(" ")}
The "--" is needed: npm keeps what stands before it.`;

export type DeployArguments = ReturnType<typeof parseArguments>;

/**
 * Reads the arguments.
 * @param environment of npm, which shows the options that it kept for itself
 * @throws Error that names the wrong one
 */
export function parseArguments(args: string[], environment: NodeJS.Dict<string>) {
  refuseEaten(environment);
  const config = { args, options: OPTIONS, allowNegative: true, tokens: true } as const;
  const { values, tokens } = argumentsOf(USAGE, config);
  const written = (names: string[]) =>
    tokens.flatMap((token) => {
      if (token.kind !== "option" || !names.includes(token.name.replace(/^no-/, ""))) return [];
      return token.value === undefined ? token.rawName : `${token.rawName}=${token.value}`;
    });
  return {
    help: values.help === true,
    /** "" is the top level of wrangler.toml; undefined: not said. */
    env: values.env,
    name: values.name,
    config: values.config,
    secretsFile: values["secrets-file"],
    dryRun: values["dry-run"] === true,
    /** For the creation of the database. */
    place: written(["location", "jurisdiction"]),
    /** For `wrangler deploy` alone. */
    passed: written(Object.keys(PASSED)),
  };
}

/** npm keeps what stands before the "--" and passes nothing on: a dry run would deploy. */
function refuseEaten(environment: NodeJS.Dict<string>): void {
  const bare = (name: string) => name.toLowerCase().replace(/^npm_config_|[_-]/g, "");
  const names = Object.keys(OPTIONS).filter((name) => !NPMS_OWN.includes(name));
  for (const [key, value] of Object.entries(environment)) {
    if (!/^npm_config_/i.test(key) || value === undefined) continue;
    // npm takes -c for its own --call.
    const name = bare(key) === "call" ? "config" : names.find((one) => bare(one) === bare(key));
    if (!name) continue;
    const text = value === "true" ? "" : ` ${value}`;
    throw new Error(
      `npm kept --${name} for itself, so nothing was done. Write: npm run deploy -- --${name}${text}`,
    );
  }
}
