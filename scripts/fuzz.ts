/**
 * npm run fuzz [-- --max-examples N --seed N]: runs Schemathesis against a Worker of its own, with AUTH open and jwt.
 * Needs Python 3.10.
 */
import { existsSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { argumentsOf, command, demand } from "./command.ts";
import { withWorker } from "./own-worker.ts";

/** From PyPI; pinned, so that the same checks run everywhere. */
const SCHEMATHESIS = "schemathesis==4.32.5";
const USAGE = "Usage: npm run fuzz [-- --max-examples N --seed N]";

const venv = path.join(import.meta.dirname, "../.wrangler/fuzz");
const config = path.join(import.meta.dirname, "fuzz.toml");

await command(async () => {
  const { values } = argumentsOf(USAGE, {
    options: { "max-examples": { type: "string", default: "25" }, seed: { type: "string" } },
  });
  const given = [
    "--max-examples",
    values["max-examples"],
    ...(values.seed ? ["--seed", values.seed] : []),
  ];
  await install();
  const failed: string[] = [];
  for (const AUTH of ["open", "jwt"]) {
    console.log(`\nAUTH=${AUTH}`);
    await withWorker({ AUTH }, async ({ url, tokenOf }) => {
      const token = AUTH === "jwt" ? await tokenOf("fuzz") : undefined;
      await schemathesis(url, token, given).catch((error) =>
        failed.push(`AUTH=${AUTH}: ${error.message}`),
      );
    });
  }
  if (failed.length > 0) throw new Error(failed.join("\n"));
});

/** Installs Schemathesis once, in its own virtual environment. */
async function install(): Promise<void> {
  const stamp = path.join(venv, SCHEMATHESIS);
  if (existsSync(stamp)) return;
  console.log(`Installing ${SCHEMATHESIS} …`);
  await demand("python3", ["-m", "venv", venv]);
  await demand(path.join(venv, "bin/pip"), ["install", "--quiet", SCHEMATHESIS]);
  mkdirSync(stamp);
}

function schemathesis(url: URL, token: string | undefined, given: string[]): Promise<void> {
  // While AUTH is open, a missing or bad token stops no call.
  const auth = token
    ? ["--header", `Authorization: Bearer ${token}`]
    : ["--exclude-checks", "ignored_auth", "--generation-with-security-parameters", "false"];
  const run = ["--config-file", config, "run", `${url.origin}/openapi.json`, "--no-color"];
  return demand(path.join(venv, "bin/schemathesis"), [...run, ...given, ...auth], {
    cwd: tmpdir(),
    // For fuzz_hooks.py.
    env: { PYTHONPATH: import.meta.dirname, PYTHONDONTWRITEBYTECODE: "1" },
  });
}
