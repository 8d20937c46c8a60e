/** Checks that secrets files hold only secrets: AUTH="open" from a .dev.vars would open a Worker to everybody. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { SECRET_NAMES } from "../src/config.ts";
import { strong } from "../src/token.ts";

/**
 * Checks that every file named by `--secrets-file`, in any spelling that wrangler accepts, holds only
 * secrets, and no weak ones. Paths are relative to `root`, as for wrangler.
 * @throws Error that says what is wrong without showing a value
 */
export function checkSecretsFiles(args: string[], root: string): void {
  const files = args.flatMap((arg, at) => {
    const [, inline] = /^--(?:secrets-file|secretsFile)(?:=(.*))?$/s.exec(arg) ?? [arg, null];
    return inline === null ? [] : [inline ?? args[at + 1] ?? ""];
  });
  for (const file of files) checkSecrets(file, resolve(root, file));
}

function checkSecrets(file: string, path: string): void {
  const text = readFileSync(path, "utf8");
  const isJson = text.trimStart().startsWith("{");
  const values = isJson ? parseJson(file, text) : parseEnv(text);
  // wrangler's parser also accepts `NAME: value`, which Node's does not.
  const lines = isJson ? [] : text.matchAll(/^\s*(?:export\s+)?([\w.-]+)(?:\s*=|:\s)/gm);
  const names = new Set([...Object.keys(values), ...[...lines].map(([, name = ""]) => name)]);
  const others = [...names].filter((name) => !SECRET_NAMES.some((known) => known === name));
  if (others.length > 0) {
    throw new Error(
      `${file} names ${others.join(", ")}: secrets are ${SECRET_NAMES.join(", ")}. Settings go\n` +
        "under [vars] in wrangler.toml; development-only values, in another file.",
    );
  }
  for (const name of ["AUTH_SECRET", "PORTAL_SECRET"]) {
    if (name in values) strong(name, String(values[name]));
  }
}

// JSON.parse's own message quotes the text, which holds secrets.
function parseJson(file: string, text: string): NodeJS.Dict<unknown> {
  try {
    return JSON.parse(text) as NodeJS.Dict<unknown>;
  } catch {
    throw new Error(`${file} is not valid JSON. Lines of NAME=value work too.`);
  }
}
