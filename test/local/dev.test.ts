/** What the dev command and the installer decide, without starting anything. */
import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { hiddenHost, serveFront } from "../../local/dev/front.ts";
import { parseOptions } from "../../local/dev/options.ts";
import { devSettings, devToken, usesLocalConvoy } from "../../local/dev/settings.ts";
import { claimState } from "../../local/dev/sharing.ts";
import { welcome } from "../../local/dev/welcome.ts";
import { install, missing, tooOld } from "../../scripts/install.mjs";
import { KEY_SETTINGS, type Keys } from "../../src/keys.ts";
import { settingsOf } from "../../src/settings.ts";
import { verifyToken } from "../../src/token.ts";
import { freePort } from "../support/processes.ts";

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

describe("with AUTH=jwt", () => {
  const secret = "a-secret-of-at-least-32-characters-for-HS256";
  const jwks = { AUTH_JWKS_URL: "https://i.example/k", AUTH_AUDIENCE: "a" };

  test("the commands have a token that the Worker accepts, from the secret that it has", async () => {
    for (const [environment, vars] of [
      [{ AUTH_SECRET: secret }, { AUTH_SECRET: "another" }],
      [{}, { AUTH_SECRET: secret }],
      [{}, {}],
    ]) {
      const settings = devSettings({ AUTH: "jwt", ...environment }, "http://c", vars);
      if (environment?.AUTH_SECRET || vars?.AUTH_SECRET) expect(settings.AUTH_SECRET).toBe(secret);
      const token = (await devToken(settings)) ?? "";
      const { auth } = settingsOf(settings, KEY_SETTINGS);
      expect(await verifyToken(auth as Keys, token)).toMatchObject({
        owner: "me",
        operator: false,
      });
      const text = welcome({ port: 1, inboxUrl: undefined, token });
      expect(text.split(`-H 'Authorization: Bearer ${token}'`)).toHaveLength(3);
    }
  });

  test("an issuer's tokens, or a weak secret, leave a place to fill", async () => {
    const issued = devSettings({ AUTH: "jwt" }, "http://c", jwks);
    expect(issued).not.toHaveProperty("AUTH_SECRET");
    expect(await devToken({ ...issued, ...jwks })).toBe("TOKEN");
    const weak = devSettings({ AUTH: "jwt", AUTH_SECRET: "weak" }, "http://c");
    expect(weak.AUTH_SECRET).toBe("weak");
    expect(await devToken(weak)).toBe("TOKEN");
  });

  test("while AUTH is open the commands need none", async () => {
    const settings = devSettings({ AUTH_SECRET: secret }, "http://c");
    expect(await devToken(settings)).toBeUndefined();
    expect(welcome({ port: 1, inboxUrl: "http://i/", token: undefined })).not.toContain("Bearer");
  });
});

test("the front passes on what came, but for Miniflare's own headers", async () => {
  const seen: IncomingMessage[] = [];
  const target = createServer((request, response) => {
    seen.push(request);
    request.pipe(response.writeHead(207, ["X-Twice", "a", "X-Twice", "b"]));
  });
  await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
  const to = new URL(`http://127.0.0.1:${(target.address() as AddressInfo).port}`);
  const port = await freePort();
  const close = await serveFront(port, to);
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/a/../b?c=%2F`, {
      method: "PUT",
      body: "x".repeat(100_000),
      headers: { "MF-Original-URL": "http://localhost/", "mf-route-override": "x", "X-Own": "ä" },
    });
    expect(answer.status).toBe(207);
    expect(answer.headers.get("X-Twice")).toBe("a, b");
    expect(await answer.text()).toBe("x".repeat(100_000));
    expect(seen[0]).toMatchObject({ method: "PUT", url: "/b?c=%2F" });
    expect(seen[0]?.headers).toMatchObject({ host: `127.0.0.1:${port}`, "x-own": "ä" });
    expect(Object.keys(seen[0]?.headers ?? {}).filter((name) => name.startsWith("mf-"))).toEqual(
      [],
    );
    // With nothing behind it, it has nothing to say.
    target.closeAllConnections();
    await new Promise((resolve) => target.close(resolve));
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  } finally {
    await close();
  }
});

test("what stands behind the front is at an address of this machine", () => {
  for (let i = 0; i < 100; i++) expect(hiddenHost()).toMatch(/^127(\.\d{1,3}){3}$/);
});

test("a state is another one's only while that one runs", async () => {
  const state = path.join(root, "state");
  expect(claimState(state, 1)).toBeUndefined();
  expect(claimState(state, 1)).toBeUndefined();
  await writeFile(path.join(state, "dev.json"), JSON.stringify({ pid: process.ppid, port: 7 }));
  expect(claimState(state, 1)).toBe(7);
  const gone = spawnSync(process.execPath, ["-e", ""]).pid;
  await writeFile(path.join(state, "dev.json"), JSON.stringify({ pid: gone, port: 7 }));
  expect(claimState(state, 1)).toBeUndefined();
  await writeFile(path.join(state, "dev.json"), "cut of");
  expect(claimState(state, 1)).toBeUndefined();
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

type Packages = Record<
  string,
  { version: string; optional?: boolean; os?: string[]; cpu?: string[]; libc?: string[] }
>;
const writeLock = (file: string, packages: Packages) =>
  writeFile(path.join(root, file), JSON.stringify({ packages }));

const LINUX = { os: "linux", cpu: "x64", libc: "glibc" };
const binary = (os: string, cpu: string, libc?: string) => ({
  version: "2.0.0",
  optional: true,
  ...{ os: [os], cpu: [cpu], ...(libc ? { libc: [libc] } : {}) },
});
const WANTED: Packages = {
  "": { version: "0.1.0" },
  "node_modules/a": { version: "1.0.0" },
  "node_modules/for-mac": binary("darwin", "arm64"),
  "node_modules/for-arm": binary("linux", "arm64", "glibc"),
  "node_modules/for-musl": binary("linux", "x64", "musl"),
  "node_modules/for-glibc": binary("linux", "x64", "glibc"),
  "node_modules/of-wasm": { version: "1.0.0", optional: true },
};
const INSTALLED: Packages = {
  "node_modules/a": { version: "1.0.0" },
  "node_modules/for-glibc": { version: "2.0.0" },
};

/** @param present the packages whose files are there; all that are installed unless given */
async function layOut(installed: Packages | undefined, node = true, present = INSTALLED) {
  await writeLock("package-lock.json", WANTED);
  await mkdir(path.join(root, "node_modules/.bin"), { recursive: true });
  if (node) await cp(import.meta.filename, path.join(root, "node_modules/.bin/node"));
  if (installed) await writeLock("node_modules/.package-lock.json", installed);
  for (const name of Object.keys(present)) {
    await mkdir(path.join(root, name), { recursive: true });
    await writeFile(path.join(root, name, "package.json"), "{}");
  }
}

test("nothing is reinstalled if all packages for this platform are there", async () => {
  await layOut(INSTALLED);
  expect(missing(root, LINUX)).toBeUndefined();
});

const { "node_modules/for-glibc": _binary, ...WITHOUT_BINARY } = INSTALLED;

test.each<[string, Packages | undefined, boolean, Packages, RegExp]>([
  [
    "a package has another version",
    { ...INSTALLED, "node_modules/a": { version: "0.9.0" } },
    true,
    INSTALLED,
    /a is not/,
  ],
  ["a package is missing", {}, true, INSTALLED, /a is not/],
  ["an install was cut off", undefined, true, INSTALLED, /incomplete/],
  ["install scripts did not run", INSTALLED, false, INSTALLED, /own Node/],
  ["npm left out a binary", WITHOUT_BINARY, true, INSTALLED, /for-glibc, a binary for this/],
  ["a binary's files are gone", INSTALLED, true, WITHOUT_BINARY, /for-glibc is missing/],
])("an install is due when %s", async (_, installed, node, present, reason) => {
  await layOut(installed, node, present);
  expect(missing(root, LINUX)).toMatch(reason);
});

test.each<[os: string, cpu: string, libc: string | undefined, binary: string]>([
  ["darwin", "arm64", undefined, "for-mac"],
  ["linux", "arm64", "glibc", "for-arm"],
  ["linux", "x64", "musl", "for-musl"],
])("an install is due when packages of another platform are taken to %s %s %s", async (...to) => {
  const [os, cpu, libc, needed] = to;
  await layOut(INSTALLED);
  expect(missing(root, { os, cpu, libc })).toContain(needed);
});

test("this machine's own packages are all there", () => {
  expect(missing(path.resolve(import.meta.dirname, "../.."))).toBeUndefined();
});

test("an install is due on a fresh clone", async () => {
  await writeLock("package-lock.json", WANTED);
  expect(missing(root)).toMatch(/node_modules is missing/);
});

const { engines } = createRequire(import.meta.url)("../../package.json");

test.each([
  ["18.20.4", false],
  ["20.18.3", false],
  ["20.19.0", true],
  ["20.20.2", true],
  ["21.7.3", false],
  ["22.11.0", false],
  ["22.12.0", true],
  ["23.0.0", true],
  ["24.21.0", true],
])("Node %s is enough: %s; the floor is rolldown's", (version, enough) => {
  expect(tooOld(version, engines.node) === undefined).toBe(enough);
  const rolldown = createRequire(import.meta.url)("../../node_modules/rolldown/package.json");
  expect(engines.node).toBe(rolldown.engines.node);
  if (!enough) expect(tooOld(version, engines.node)).toContain(`this is ${version}`);
});

describe("installing", () => {
  const said: string[] = [];
  beforeEach(async () => {
    said.length = 0;
    await writeLock("package-lock.json", WANTED);
  });
  const enginesAre = (node: string) =>
    writeFile(path.join(root, "package.json"), JSON.stringify({ engines: { node } }));
  const npm = (code: string) => [process.execPath, "-e", code];
  const how = (code: string, everyMs = 60_000) => ({
    npm: npm(code),
    everyMs,
    say: (line: string) => void said.push(line),
  });

  test("npm that waits for a network is explained, and what it says in the end is shown", async () => {
    await enginesAre(">=20.0");
    // Ends once the words are there: its standard input and output tell it nothing, a file does.
    const waits = `const t = setInterval(() => require("fs").existsSync("go") && (console.log("ENOTFOUND"), process.exit(1)), 10)`;
    const done = install(root, {
      ...how(waits, 1),
      say: (line) => {
        said.push(line);
        if (line.includes("needs a network")) void writeFile(path.join(root, "go"), "");
      },
    });
    expect(await done).toBe(false);
    expect(said.slice(0, 3)).toEqual([
      "Installing packages (node_modules is missing) …",
      expect.stringMatching(/^… [\d.]+ s$/),
      expect.stringContaining("needs a network"),
    ]);
    expect(said.at(-1)).toMatch(/^ENOTFOUND\nInstalling failed \(exit 1\)/);
  });

  test("npm that ends well but leaves something out has failed", async () => {
    await enginesAre(">=20.0");
    expect(await install(root, how(""))).toBe(false);
    expect(said.at(-1)).toContain("Installing failed (node_modules is missing)");
  });

  test("under a Node that is too old npm is not even started", async () => {
    await enginesAre(">=999.0");
    expect(await install(root, how(""))).toBe(false);
    expect(said).toEqual([expect.stringContaining("Node >=999.0 is needed")]);
  });
});
