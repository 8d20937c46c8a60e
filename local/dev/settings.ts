/** The settings that the Worker gets in development. */
import { SETTING_NAMES, type SettingName } from "../../src/config.ts";

/** Key and project of the local Convoy. */
const LOCAL = "local";

/**
 * Development defaults, overridden by environment variables with a setting's name. If CONVOY_BASE_URL
 * is set there, key and project have no default: they belong to that server.
 * @param convoyUrl where the local Convoy listens
 */
export function devSettings(
  environment: Record<string, string | undefined>,
  convoyUrl: string,
): Partial<Record<SettingName, string>> {
  const settings: Partial<Record<SettingName, string>> = { AUTH: "open" };
  if (usesLocalConvoy(environment)) {
    settings.CONVOY_BASE_URL = `${convoyUrl}/api`;
    settings.CONVOY_API_KEY = LOCAL;
    settings.CONVOY_PROJECT_ID = LOCAL;
  }
  for (const name of SETTING_NAMES) {
    const value = environment[name];
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

/** Whether to start the local Convoy: no other one is named. */
export function usesLocalConvoy(environment: Record<string, string | undefined>): boolean {
  return !environment.CONVOY_BASE_URL;
}
