/** npm run token -- OWNER [--days N]: prints a token that the Worker takes while AUTH_SECRET is its key. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs, parseEnv } from "node:util";
import { sign } from "hono/jwt";
import { OWNER_MAX_BYTES } from "../src/config.ts";

/** Days that a token is good for unless asked otherwise: long enough to try things, short enough to lose one. */
const DAYS_DEFAULT = 30;
/** Most days of a token: ten years. Longer is a typing error. */
const DAYS_MAX = 3_650;
const DAY_S = 86_400;
const USAGE = "Usage: npm run token -- OWNER [--days N]";

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  try {
    const { owner, days } = argumentsOf(argv);
    console.log(await mint(owner, days));
    return 0;
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return 1;
  }
}

/** @throws Error that says how to call it */
function argumentsOf(argv: string[]): { owner: string; days: number } {
  const { values, positionals } = parse(argv);
  const [owner, ...more] = positionals;
  if (owner === undefined || more.length > 0) throw new Error(USAGE);
  const bytes = new TextEncoder().encode(owner).length;
  if (bytes < 1 || bytes > OWNER_MAX_BYTES || !owner.isWellFormed()) {
    throw new Error(`OWNER must be 1 to ${OWNER_MAX_BYTES} bytes of UTF-8.`);
  }
  const days = values.days === undefined ? DAYS_DEFAULT : Number(values.days);
  if (!(days > 0 && days <= DAYS_MAX)) {
    throw new Error(`--days must be a number above 0, at most ${DAYS_MAX}.`);
  }
  return { owner, days };
}

function parse(argv: string[]) {
  try {
    const options = { days: { type: "string" } } as const;
    return parseArgs({ args: argv, allowPositionals: true, options });
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${USAGE}`);
  }
}

/** @throws Error that says what to set */
function mint(owner: string, days: number): Promise<string> {
  const settings = { ...devVars(), ...process.env };
  const { AUTH_SECRET: secret, AUTH_ISSUER: iss, AUTH_AUDIENCE: aud } = settings;
  if (!secret) {
    throw new Error(
      "AUTH_SECRET is not set. Put the Worker's own into .dev.vars (AUTH_SECRET=...) or into the\n" +
        "environment. A new one: openssl rand -base64 32",
    );
  }
  const nowS = Math.floor(Date.now() / 1_000);
  const claims = { sub: owner, iat: nowS, exp: nowS + Math.round(days * DAY_S) };
  return sign({ ...claims, ...(iss ? { iss } : {}), ...(aud ? { aud } : {}) }, secret, "HS256");
}

/** What wrangler reads too; nothing where there is no such file. */
function devVars(): NodeJS.Dict<string> {
  const file = join(import.meta.dirname, "..", ".dev.vars");
  return existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};
}
