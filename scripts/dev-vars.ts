/** Reads the settings in .dev.vars, as wrangler does. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";

/** The settings in .dev.vars; empty if there is no such file. */
export function devVars(): NodeJS.Dict<string> {
  const file = join(import.meta.dirname, "..", ".dev.vars");
  return existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};
}
