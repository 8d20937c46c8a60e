/** npm run token -- OWNER [--days N] [--operator]: prints a token that the Worker accepts if AUTH_SECRET is its key. */
import { isOwner, mintToken, OPERATOR_SCOPE, OWNER_RULE } from "../src/token.ts";
import { argumentsOf, command } from "./command.ts";
import { devVars } from "./dotenv.ts";

/** Default lifetime of a token, in days: long enough to try things, short enough in case one is lost. */
const DAYS_DEFAULT = 30;
/** Longest lifetime of a token, in days: ten years. More is a typo. */
const DAYS_MAX = 3_650;
const DAY_S = 86_400;
const USAGE = "Usage: npm run token -- OWNER [--days N] [--operator]";

await command(async () => {
  const { values, positionals } = argumentsOf(USAGE, {
    allowPositionals: true,
    options: {
      days: { type: "string", default: String(DAYS_DEFAULT) },
      operator: { type: "boolean" },
    },
  });
  const [owner, ...more] = positionals;
  if (owner === undefined || more.length > 0) throw new Error(USAGE);
  if (!isOwner(owner)) throw new Error(`OWNER ${OWNER_RULE}`);
  const days = Number(values.days);
  if (!(days > 0 && days <= DAYS_MAX)) {
    throw new Error(`--days must be a number above 0, at most ${DAYS_MAX}.`);
  }
  const settings = { ...devVars(), ...process.env };
  if (!settings.AUTH_SECRET) {
    throw new Error(
      settings.AUTH_JWKS_URL
        ? "AUTH_JWKS_URL is set: tokens come from its issuer."
        : "AUTH_SECRET is not set. Put the Worker's own into .dev.vars (AUTH_SECRET=...) or into the\n" +
            "environment. A new one: openssl rand -base64 32",
    );
  }
  const scope = values.operator ? { scope: OPERATOR_SCOPE } : {};
  console.log(await mintToken(settings, owner, { expiresInS: days * DAY_S, ...scope }));
});
