/**
 * The secrets file: only secrets, and no weak ones. AUTH="open" from a .dev.vars would open a Worker to
 * everybody. What was checked is handed on as JSON: wrangler expands `$` in lines of NAME=value, and lets a
 * variable of the shell win.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parse } from "dotenv";
import { SECRET_NAMES, strong } from "../../src/settings.ts";

/** Each secret's value, as it will be uploaded. */
export type Secrets = Record<string, string>;

/**
 * The secrets in a file.
 * @throws Error that says what is wrong without showing a value
 */
export function readSecrets(file: string): Secrets {
  const name = path.basename(file);
  const secrets = parse(decode(name, readFileSync(file)));
  if (Object.keys(secrets).length === 0) throw new Error(`${name} has no line NAME=value.`);
  const others = Object.keys(secrets).filter((one) => !SECRET_NAMES.some((known) => known === one));
  if (others.length > 0) {
    throw new Error(
      `${name} names ${others.join(", ")}: secrets are ${SECRET_NAMES.join(", ")}. Settings go\n` +
        "under [vars] in wrangler.toml; development-only values, in another file.",
    );
  }
  const empty = Object.entries(secrets).find(([, value]) => /^[\s….]*$/.test(value));
  if (empty) throw new Error(`${empty[0]} has no value in ${name}.`);
  for (const one of ["AUTH_SECRET", "PORTAL_SECRET"]) {
    if (secrets[one] !== undefined) strong(one, secrets[one]);
  }
  return secrets;
}

/** A file of the secrets for wrangler, which only we can read, until this process ends. */
export function writeForWrangler(secrets: Secrets): string {
  const directory = mkdtempSync(path.join(tmpdir(), "deploy-"));
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => process.exit(1));
  }
  const file = path.join(directory, "secrets.json");
  writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
  return file;
}

function decode(name: string, bytes: Buffer): string {
  try {
    // Takes a BOM away.
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new Error(`${name} is not UTF-8 (PowerShell's > writes UTF-16): save it as UTF-8.`);
  }
}
