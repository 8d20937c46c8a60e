/** What the dev command and the installer decide, without starting anything. */
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseOptions } from "../../local/dev/options.ts";
import { devSettings, usesLocalConvoy } from "../../local/dev/settings.ts";
import { missing } from "../../scripts/install.mjs";

test("settings default to the local Convoy and an open API", () => {
  expect(devSettings({}, "http://127.0.0.1:8081")).toEqual({
    AUTH: "open",
    CONVOY_BASE_URL: "http://127.0.0.1:8081/api",
    CONVOY_API_KEY: "local",
    CONVOY_PROJECT_ID: "local",
  });
});

test("an environment variable with a setting's name overrides the default; others do not reach the Worker", () => {
  const settings = devSettings({ AUTH: "jwt", WALK_DELAY_S: "1", HOME: "/root" }, "http://c");
  expect(settings).toMatchObject({ AUTH: "jwt", WALK_DELAY_S: "1", CONVOY_API_KEY: "local" });
  expect(settings).not.toHaveProperty("HOME");
});

test("with another Convoy named, key and project have no default and the local one is not used", () => {
  const environment = { CONVOY_BASE_URL: "https://convoy.example/api" };
  expect(usesLocalConvoy(environment)).toBe(false);
  expect(devSettings(environment, "http://c")).toEqual({ AUTH: "open", ...environment });
});

test("ports and state come from the arguments", () => {
  expect(parseOptions([])).toMatchObject({ port: 8080, convoyPort: 8081 });
  const given = parseOptions(["--port", "1", "--convoy-port=65535", "--state", "/tmp/x"]);
  expect(given).toEqual({ port: 1, convoyPort: 65_535, state: "/tmp/x" });
});

test.each([
  [["--port", "0"], /--port must be/],
  [["--port", "65536"], /--port must be/],
  [["--port", "80a"], /--port must be/],
  [["--convoy-port", "-1"], /convoy-port/],
  [["--port", "8081"], /both 8081/],
  [["--prot", "1"], /--prot/],
  [["8080"], /8080/],
])("the arguments %j are refused by name", (args, reason) => {
  expect(() => parseOptions(args)).toThrow(reason);
});

let root: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), "todo-install-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

type Packages = Record<string, { version: string; optional?: boolean }>;
const writeLock = (file: string, packages: Packages) =>
  writeFile(path.join(root, file), JSON.stringify({ packages }));

const WANTED: Packages = {
  "": { version: "0.1.0" },
  "node_modules/a": { version: "1.0.0" },
  "node_modules/for-mac": { version: "2.0.0", optional: true },
};
const INSTALLED: Packages = { "node_modules/a": { version: "1.0.0" } };

async function layOut(installed: Packages | undefined, node = true): Promise<void> {
  await writeLock("package-lock.json", WANTED);
  await mkdir(path.join(root, "node_modules/.bin"), { recursive: true });
  if (node) await cp(import.meta.filename, path.join(root, "node_modules/.bin/node"));
  if (installed) await writeLock("node_modules/.package-lock.json", installed);
}

test("nothing is reinstalled if all packages for this platform are there", async () => {
  await layOut(INSTALLED);
  expect(missing(root)).toBeUndefined();
});

test.each<[string, Packages | undefined, boolean, RegExp]>([
  ["a package has another version", { "node_modules/a": { version: "0.9.0" } }, true, /a is not/],
  ["a package is missing", {}, true, /a is not/],
  ["an install was cut off", undefined, true, /incomplete/],
  ["install scripts did not run", INSTALLED, false, /own Node/],
])("an install is due when %s", async (_, installed, node, reason) => {
  await layOut(installed, node);
  expect(missing(root)).toMatch(reason);
});

test("an install is due on a fresh clone", async () => {
  await writeLock("package-lock.json", WANTED);
  expect(missing(root)).toMatch(/node_modules is missing/);
});
