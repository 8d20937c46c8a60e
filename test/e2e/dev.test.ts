/** `npm run dev` as a person uses it: ready, reachable, and gone without a trace however it ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:http";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { claimState } from "../../local/dev/sharing.ts";
import { allProcesses, commandLine, familyOf, freePort, isRunning } from "../support/processes.ts";
import { ROOT } from "../support/system.ts";
import { until } from "../support/until.ts";

/** Must appear in a setting and nowhere else. */
const SECRET = "a-secret-of-at-least-32-characters-for-HS256";

let folder: string;
/** All processes seen that the tests started. */
const started: number[] = [];
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "todo-dev-"));
});
afterAll(async () => {
  // A test that fails halfway must not leave a server behind; the folder's name is in its arguments,
  // but not in those of an orphaned workerd.
  const servers = allProcesses().filter((pid) => commandLine(pid).includes(folder));
  const left = [...started, ...servers.flatMap(familyOf)];
  for (const pid of left.filter(isRunning)) process.kill(pid, "SIGKILL");
  await until("their end", () => !left.some(isRunning));
  await rm(folder, { recursive: true, force: true });
});

/** Starts npm in a process group of its own, as a terminal would; what it prints is collected. */
const npmRunDev = (args: string[], settings: Record<string, string> = {}) =>
  start("npm", ["run", "--silent", "dev", "--", ...args], settings);

function start(command: string, args: string[], settings: Record<string, string>) {
  // Without Vitest's variables: tools behave differently when they see them.
  const clean = Object.entries(process.env).filter(([name]) => !/^(VITEST|NODE_)/.test(name));
  const npm = spawn(command, args, {
    cwd: ROOT,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...Object.fromEntries(clean), ...settings } as NodeJS.ProcessEnv,
  });
  const said = { text: "" };
  npm.stdout.on("data", (chunk) => (said.text += chunk));
  npm.stderr.on("data", (chunk) => (said.text += chunk));
  return { npm, said };
}

/** The status of a GET with a Host of its own, which fetch does not allow. */
const statusAs = (host: string, url: string, headers: Record<string, string>) =>
  new Promise<number | undefined>((resolve, reject) => {
    get(url, { headers: { ...headers, Host: host } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on("error", reject);
  });

const exitCode = (child: ChildProcess) =>
  new Promise<number | null>((resolve) => child.once("close", resolve));

describe.concurrent("npm run dev", () => {
  const serverOf = (npm: number) =>
    familyOf(npm).find((pid) => commandLine(pid).includes("local/dev/serve.ts"));
  type Case = [how: string, end: (npm: number) => void, settings: Record<string, string>];
  const ends: Case[] = [
    [
      "Ctrl-C",
      (npm) => process.kill(-npm, "SIGINT"),
      { AUTH: "jwt", AUTH_SECRET: SECRET, AUTH_ISSUER: "i" },
    ],
    // A file: root may write into any folder.
    [
      "SIGKILL of the server",
      (npm) => process.kill(serverOf(npm) ?? 0, "SIGKILL"),
      { HOME: import.meta.filename, XDG_CONFIG_HOME: "" },
    ],
  ];
  test.each(ends)(
    "answers under each local name, and leaves nothing running after %s",
    async (how, end, settings) => {
      const [port, convoyPort] = [await freePort(), await freePort()];
      const state = path.join(folder, how.replaceAll(/\W/g, "-"));
      const args = ["--port", `${port}`, "--convoy-port", `${convoyPort}`, "--state", state];
      const { npm, said } = npmRunDev(args, settings);
      await until("the welcome", () => said.text.includes("Ctrl-C ends it"));

      // What is said is true already: it answers, and with the token of the commands.
      for (const host of ["0.0.0.0", "127.0.0.1", "localhost"]) {
        const response = await fetch(`http://${host}:${port}/health`);
        expect(response.status, `${host}: ${await response.text()}`).toBe(200);
      }
      const todos = `http://127.0.0.1:${port}/todo`;
      const [, token] = /Authorization: Bearer ([\w.-]+)'/.exec(said.text) ?? [];
      expect(token !== undefined).toBe(settings.AUTH === "jwt");
      const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
      expect((await fetch(todos, headers && { headers })).status).toBe(200);
      // A setting from the environment has reached the Worker: no token, no answer.
      expect((await fetch(todos)).status).toBe(token ? 401 : 200);
      // A page under another name that leads here, whatever address it claims to call.
      if (!token) {
        for (const more of [{}, { "MF-Original-URL": "http://localhost/todo" }]) {
          expect(await statusAs("evil.example", todos, more)).toBe(403);
        }
      }
      const portal = `http://127.0.0.1:${port}/portal/`;
      expect(said.text).toContain(portal);
      expect(await (await fetch(portal)).text()).toContain("/portal/main.js");
      const inbox = await fetch(`http://127.0.0.1:${convoyPort}/inbox/deliveries`);
      expect(await inbox.json()).toMatchObject({ data: [] });

      const family = familyOf(npm.pid ?? 0);
      started.push(...family);
      expect(family.map(commandLine).join("\n")).toContain("workerd");
      expect(family.map(commandLine).join("\n")).not.toContain(SECRET);
      expect(said.text).not.toContain(SECRET);
      end(npm.pid ?? 0);
      await until("the end of every process", () => !family.some(isRunning));
      await expect(fetch(`http://127.0.0.1:${port}/health`)).rejects.toThrow();
      await expect(fetch(`http://127.0.0.1:${convoyPort}/`)).rejects.toThrow();
    },
  );

  test.each(["SIGTERM", "SIGKILL"] as const)(
    "says that another one uses the same state; %s of npm alone, while it is still starting, ends all",
    async (signal) => {
      const state = path.join(folder, `starting-${signal}`);
      expect(claimState(state, 8_099)).toBeUndefined();
      const args = ["--port", `${await freePort()}`, "--convoy-port", `${await freePort()}`];
      const { npm, said } = npmRunDev([...args, "--state", state]);
      await until("the words", () => said.text.includes("on port 8099 uses the same state"));
      expect(said.text).toContain(`npm run dev -- --state ${state}-2`);
      const family = familyOf(npm.pid ?? 0);
      started.push(...family);
      npm.kill(signal);
      await until("the end of every process", () => !family.some(isRunning));
    },
  );

  test.each(["--port", "--convoy-port"])(
    "says in one line that the port of %s is taken",
    async (flag) => {
      const holder = createServer();
      const taken = await freePort();
      await new Promise<void>((resolve) => holder.listen(taken, "127.0.0.1", resolve));
      const other = flag === "--port" ? "--convoy-port" : "--port";
      const args = [flag, `${taken}`, other, `${await freePort()}`];
      // What npm runs.
      const all = ["local/dev.ts", ...args, "--state", path.join(folder, "none")];
      const { npm, said } = start(process.execPath, all, {});
      expect(await exitCode(npm)).toBe(1);
      expect(said.text.trim()).toMatch(new RegExp(`^Port ${taken} [^\\n]*${flag} \\d+$`));
      await new Promise((resolve) => holder.close(resolve));
    },
  );
});
