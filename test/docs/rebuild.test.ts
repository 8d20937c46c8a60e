/** `npm run rebuild` against a fake Worker that answers two pages; test/worker/rebuild.test.ts tests the real one. */
import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");
const AUTH_SECRET = "a-secret-of-at-least-32-characters-for-HS256";

type Asked = { path: string; token: string; body: Record<string, unknown> | null };

let server: Server;
let asked: Asked[] = [];
beforeEach(() => {
  asked = [];
});
beforeAll(async () => {
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const token = String(request.headers.authorization).replace(/^Bearer /, "");
    const body = text ? JSON.parse(text) : null;
    asked.push({ path: request.url ?? "", token, body });
    const page = body?.cursor
      ? { data: [], checked: 3 }
      : {
          data: [{ owner: "alice", resource: "todo", resource_id: "1", log: 5, kv: null }],
          checked: 100,
          cursor: "next",
        };
    const health = { unprojected: { changes: 0, oldest_ms: null } };
    const refused = token === "bad";
    response.writeHead(refused ? 403 : 200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(refused ? { error: "No." } : body ? page : health));
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
});
afterAll(() => void server.close());

function run(args: string[], env: Record<string, string>) {
  const { port } = server.address() as AddressInfo;
  const url = ["--url", `http://127.0.0.1:${port}`];
  const options = { cwd: ROOT, env: { ...process.env, ...env } };
  return new Promise<{ code: number; output: string }>((resolve) => {
    const all = ["scripts/rebuild.ts", ...(args.includes("--url") ? [] : url), ...args];
    execFile(process.execPath, all, options, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) || 1 : 0, output: stdout + stderr });
    });
  });
}

test("npm run rebuild goes through all pages as an operator, prints what differed, and waits for KV", async () => {
  const { code, output } = await run([], { AUTH_SECRET });
  expect(output).toContain(
    '{"owner":"alice","resource":"todo","resource_id":"1","log":5,"kv":null}',
  );
  expect(output).toContain("103 resources compared, 1 differed.");
  expect(output).toContain("KV has the last change of every resource.");
  expect(code).toBe(0);
  expect(asked.map(({ path: at, body }) => [at, body])).toEqual([
    ["/rebuild", { from: "log", dry_run: false }],
    ["/rebuild", { from: "log", dry_run: false, cursor: "next" }],
    ["/health?deep", null],
  ]);
  expect(decodeJwt(asked[0]?.token ?? "")).toMatchObject({ scope: "operator" });
});

test("npm run rebuild -- --dry-run asks for a dry run and says so; TOKEN goes before AUTH_SECRET", async () => {
  const { code, output } = await run(["--dry-run", "--from", "kv"], { AUTH_SECRET, TOKEN: "mine" });
  expect(output).toContain("Nothing was changed");
  expect(code).toBe(0);
  expect(asked.map(({ token, body }) => [token, body?.from, body?.dry_run])).toEqual([
    ["mine", "kv", true],
    ["mine", "kv", true],
  ]);
});

test("npm run rebuild shows its usage, and the Worker's refusal", async () => {
  const refused = await run([], { TOKEN: "bad" });
  expect(refused).toMatchObject({ code: 1, output: expect.stringContaining("403") });
  for (const args of [["--url", "nowhere"], ["--from", "disk"], ["--what"]]) {
    const wrong = await run(args, { AUTH_SECRET });
    expect(wrong).toMatchObject({ code: 1, output: expect.stringContaining("Usage: npm run") });
  }
});
