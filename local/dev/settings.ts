/** The settings that the Worker gets in development. */
import { SETTING_NAMES, type SettingName } from "../../src/settings.ts";
import { mintToken } from "../../src/token.ts";
import { LOCAL_CREDENTIAL } from "../convoy/context.ts";

/** The owner of the token that is shown, and how long it is valid: a day of work. */
const OWNER = "me";
const TOKEN_S = 24 * 3_600;

export type DevSettings = Partial<Record<SettingName, string>>;

/**
 * Development defaults, overridden by environment variables with a setting's name. If CONVOY_BASE_URL
 * is set there, key and project have no default: they belong to that server. With AUTH=jwt and no way to
 * check tokens, AUTH_SECRET is that of .dev.vars, else a new one.
 * @param convoyUrl where the local Convoy listens
 */
export function devSettings(
  environment: NodeJS.Dict<string>,
  convoyUrl: string,
  devVars: NodeJS.Dict<string> = {},
): DevSettings {
  const settings: DevSettings = { AUTH: "open" };
  if (usesLocalConvoy(environment)) {
    settings.CONVOY_BASE_URL = `${convoyUrl}/api`;
    settings.CONVOY_API_KEY = LOCAL_CREDENTIAL;
    settings.CONVOY_PROJECT_ID = LOCAL_CREDENTIAL;
  }
  for (const name of SETTING_NAMES) {
    const value = environment[name];
    if (value !== undefined) settings[name] = value;
  }
  // wrangler reads the rest of .dev.vars by itself.
  const { AUTH_SECRET, AUTH_JWKS_URL } = { ...devVars, ...environment };
  if (settings.AUTH === "jwt" && !AUTH_JWKS_URL) {
    settings.AUTH_SECRET = AUTH_SECRET || crypto.randomUUID() + crypto.randomUUID();
  }
  return settings;
}

/** Whether to start the local Convoy: no other one is named. */
export function usesLocalConvoy(environment: NodeJS.Dict<string>): boolean {
  return !environment.CONVOY_BASE_URL;
}

/**
 * A token for the commands to paste: undefined if none is needed, TOKEN if only an issuer can make one, or
 * the secret is none.
 */
export async function devToken(settings: DevSettings): Promise<string | undefined> {
  if (settings.AUTH === "open") return undefined;
  return mintToken(settings, OWNER, { expiresInS: TOKEN_S }).catch(() => "TOKEN");
}
