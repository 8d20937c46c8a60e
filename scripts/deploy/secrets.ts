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
  const text = decode(name, readFileSync(file));
  const secrets = text.trimStart().startsWith("{") ? fromJson(name, text) : fromLines(name, text);
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

/** What somebody who knows wrangler's own reading should know; shows no value. */
export function notesOn(secrets: Secrets, shell: NodeJS.Dict<string>): string[] {
  return Object.entries(secrets).flatMap(([name, value]) => [
    ...(value.includes("$") ? [`${name} contains a $: it is uploaded as it stands.`] : []),
    ...(shell[name] !== undefined && shell[name] !== value
      ? [`${name} in your shell is another one: that of the file is uploaded.`]
      : []),
  ]);
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

function fromLines(name: string, text: string): Secrets {
  const secrets = parse(text);
  // What the parser passes over would be missing without a word.
  const idle = idleLine(text, secrets);
  if (idle) {
    throw new Error(
      `Line ${idle} of ${name} has no effect: it is not NAME=value, or a later line has that NAME.`,
    );
  }
  if (Object.keys(secrets).length === 0) throw new Error(`${name} has no line NAME=value.`);
  return secrets;
}

function fromJson(name: string, text: string): Secrets {
  let values: unknown;
  try {
    values = JSON.parse(text);
  } catch {
    // JSON.parse's own message quotes the text, which holds secrets.
    throw new Error(`${name} is not valid JSON. Lines of NAME=value work too.`);
  }
  for (const [one, value] of Object.entries(values as object)) {
    if (typeof value !== "string") throw new Error(`${one} in ${name} is not a text.`);
  }
  return values as Secrets;
}

/** The first line that could as well be left out; undefined if there is none. */
function idleLine(text: string, secrets: Secrets): number | undefined {
  const lines = text.split(/\r\n?|\n/);
  const whole = JSON.stringify(secrets);
  const at = lines.findIndex(
    (line, i) =>
      /^\s*[^\s#]/.test(line) && JSON.stringify(parse(lines.toSpliced(i, 1).join("\n"))) === whole,
  );
  return at < 0 ? undefined : at + 1;
}
