/** npm run token -- OWNER [--days N] [--operator]: prints a token that the Worker accepts if AUTH_SECRET is its key. */
import { parseArgs } from "node:util";
import { isOwner, mintToken, OPERATOR_SCOPE, OWNER_RULE } from "../src/token.ts";
import { devVars } from "./dotenv.ts";

/** Default lifetime of a token, in days: long enough to try things, short enough in case one is lost. */
const DAYS_DEFAULT = 30;
/** Longest lifetime of a token, in days: ten years. More is a typo. */
const DAYS_MAX = 3_650;
const DAY_S = 86_400;
const USAGE = "Usage: npm run token -- OWNER [--days N] [--operator]";

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  try {
    const { owner, ...claims } = argumentsOf(argv);
    console.log(await mint(owner, claims));
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

/** @throws Error that states the usage */
function argumentsOf(argv: string[]): { owner: string; expiresInS: number; scope?: string } {
  const { values, positionals } = parse(argv);
  const [owner, ...more] = positionals;
  if (owner === undefined || more.length > 0) throw new Error(USAGE);
  if (!isOwner(owner)) throw new Error(`OWNER ${OWNER_RULE}`);
  const days = values.days === undefined ? DAYS_DEFAULT : Number(values.days);
  if (!(days > 0 && days <= DAYS_MAX)) {
    throw new Error(`--days must be a number above 0, at most ${DAYS_MAX}.`);
  }
  const expiresInS = days * DAY_S;
  return { owner, expiresInS, ...(values.operator ? { scope: OPERATOR_SCOPE } : {}) };
}

function parse(argv: string[]) {
  try {
    const options = { days: { type: "string" }, operator: { type: "boolean" } } as const;
    return parseArgs({ args: argv, allowPositionals: true, options });
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${USAGE}`);
  }
}

/** @throws Error that says what to set */
function mint(owner: string, claims: { expiresInS: number; scope?: string }): Promise<string> {
  const settings = { ...devVars(), ...process.env };
  if (!settings.AUTH_SECRET) {
    throw new Error(
      settings.AUTH_JWKS_URL
        ? "AUTH_JWKS_URL is set: tokens come from its issuer."
        : "AUTH_SECRET is not set. Put the Worker's own into .dev.vars (AUTH_SECRET=...) or into the\n" +
            "environment. A new one: openssl rand -base64 32",
    );
  }
  return mintToken(settings, owner, claims);
}
