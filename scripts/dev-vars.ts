/** The settings in .dev.vars, which wrangler reads too. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";

/** What .dev.vars says; nothing where there is no such file. */
export function devVars(): NodeJS.Dict<string> {
  const file = join(import.meta.dirname, "..", ".dev.vars");
  return existsSync(file) ? parseEnv(readFileSync(file, "utf8")) : {};
}
