// State in a file: what was accepted survives a stop midway, orderly or by kill -9.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createConvoy } from "../../local/convoy/index.ts";
import { clientOf, receiver } from "./client.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "convoy-"));
  file = path.join(folder, "state/convoy.sqlite");
});
afterEach(() => rmSync(folder, { recursive: true }));

const keys = Array.from({ length: 100 }, (_, at) => `key-${at}`);
const keyOf = (headers: Headers) => headers.get("X-Convoy-Idempotency-Key");

test("events accepted but not processed are delivered once after the next start", async () => {
  const before = clientOf(createConvoy({ file }));
  await before.faults({ stall: true });
  const id = await before.endpoint();
  for (const key of keys) await before.event(id, key);
  await before.convoy.close();

  const { got, deliver } = receiver();
  const after = createConvoy({ file, deliver });
  await after.idle();
  await after.close();
  expect(got.map((one) => keyOf(one.headers)).sort()).toEqual([...keys].sort());
});

test("deliveries in flight when it closes all arrive after the next start", async () => {
  const halfway = receiver((_, count) => (count <= 20 ? 200 : new Promise<number>(() => {})));
  const before = clientOf(createConvoy({ file, deliver: halfway.deliver }));
  const id = await before.endpoint();
  await Promise.all(keys.map((key) => before.event(id, key)));
  while (halfway.got.length < 40) await new Promise((resolve) => setImmediate(resolve));
  await before.convoy.close();

  const { got, deliver } = receiver();
  const after = clientOf(createConvoy({ file, deliver }));
  await after.convoy.idle();
  const deliveries = await after.deliveries();
  await after.convoy.close();
  expect(deliveries.filter((one) => one.status === "Success")).toHaveLength(100);
  const arrived = new Set([...halfway.got.slice(0, 20), ...got].map((one) => keyOf(one.headers)));
  expect(arrived.size).toBe(100);
});

test("a waiting retry is made after the next start, at its time", async () => {
  const clock = { now: Date.parse("2026-11-24T12:00:00Z") };
  const now = () => clock.now;
  const before = clientOf(createConvoy({ file, now, deliver: receiver(() => 500).deliver }));
  await before.event(await before.endpoint(), "k");
  await before.convoy.idle();
  await before.convoy.close();

  const early = receiver();
  const soon = createConvoy({ file, now, deliver: early.deliver });
  await soon.idle();
  await soon.close();
  expect(early.got).toEqual([]);

  clock.now += 100_000;
  let arrived = () => {};
  const arrival = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const due = receiver(() => {
    arrived();
    return 200;
  });
  const later = createConvoy({ file, now, deliver: due.deliver });
  await arrival;
  await later.idle();
  await later.close();
  expect(due.got).toHaveLength(1);
});

test("a file from another version is emptied", async () => {
  const before = clientOf(createConvoy({ file }));
  const id = await before.endpoint();
  await before.convoy.close();
  const old = new DatabaseSync(file);
  old.exec("ALTER TABLE endpoint DROP COLUMN authentication; PRAGMA user_version = 0");
  old.close();

  const after = clientOf(createConvoy({ file }));
  expect((await after.call("GET", `/endpoints/${id}`)).status).toBe(404);
  await after.endpoint();
  expect((await after.call<{ content: object[] }>("GET", "/endpoints")).data.content).toHaveLength(
    1,
  );
  await after.convoy.close();
});

/** A local Convoy in its own process, to be killed. */
const PROGRAM = `
  const [file, index] = process.argv.slice(1);
  const { serveConvoy } = await import(index);
  const { url } = await serveConvoy({ port: 0, file });
  process.stdout.write(url + "\\n");
`;

test("kill -9 in the midst of deliveries loses none", async () => {
  const arrived = new Map<string, number>();
  let killAt = () => {};
  const server = createServer((request, response) => {
    request.resume();
    const key = String(request.headers["x-convoy-idempotency-key"]);
    arrived.set(key, (arrived.get(key) ?? 0) + 1);
    if (arrived.size === 30) killAt();
    response.end("ok");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;

  const index = new URL("../../local/convoy/server.ts", import.meta.url).href;
  const args = ["--no-warnings", "--input-type=module", "-e", PROGRAM, file, index];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  killAt = () => void child.kill("SIGKILL");
  const url = await new Promise<string>((resolve) => {
    child.stdout.once("data", (line: Buffer) => resolve(line.toString().trim()));
  });
  const call = async (route: string, body: object): Promise<number | unknown> => {
    const response = await fetch(`${url}/api/v1/projects/local${route}`, {
      method: "POST",
      headers: { Authorization: "Bearer local" },
      body: JSON.stringify(body),
    });
    return response.json();
  };
  const target = `http://127.0.0.1:${port}/hook`;
  const made = (await call("/endpoints", { name: "e", url: target })) as { data: { uid: string } };
  await call("/subscriptions", { name: "s", endpoint_id: made.data.uid });
  const accepted = (
    await Promise.allSettled(
      keys.map(async (key) => {
        const event = { endpoint_id: made.data.uid, event_type: "created", data: {} };
        await call("/events", { ...event, idempotency_key: key });
        return key;
      }),
    )
  ).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  // Killed by the 30th arrival, or here if it was never that fast.
  if (accepted.length === keys.length) await Promise.race([ended, once(() => arrived.size >= 30)]);
  child.kill("SIGKILL");
  await ended;

  const after = createConvoy({ file });
  await after.idle();
  await after.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  expect(accepted.length).toBeGreaterThan(0);
  expect(accepted.filter((key) => !arrived.has(key))).toEqual([]);
});

async function once(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
