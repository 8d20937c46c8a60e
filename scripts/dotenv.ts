/** Files of lines NAME=value, read as wrangler reads them. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
// The version that wrangler bundles: Node's parseEnv differs (BOM, `NAME: value`, quotes, comments).
import { parse } from "dotenv";

const ROOT = path.join(import.meta.dirname, "..");

/** The settings in .dev.vars; empty if there is no such file. */
export function devVars(): NodeJS.Dict<string> {
  return varsOf(path.join(ROOT, ".dev.vars"));
}

/** The settings in a file; empty if it is not there. */
export function varsOf(file: string): NodeJS.Dict<string> {
  return existsSync(file) ? parse(readFileSync(file)) : {};
}
