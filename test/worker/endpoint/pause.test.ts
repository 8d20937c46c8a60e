/** Pausing and activating: Convoy's toggle is never flipped by accident, and a pause loses nothing. */
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, LEASE_MS } from "../../../src/config.ts";
import { atConvoy, CUTS, cutCall, passTime, records } from "../../support/cut-worker.ts";
import { around, failing, type Operation, recording, refusalOf } from "../../support/operations.ts";
import {
  begin,
  call,
  cron,
  deliveries,
  newEndpoint,
  newEnv,
  setFaults,
} from "../../support/worker.ts";

/** A lease that never ends. */
const FAR = 9_999_999_999_999;
const BUSY = "an active batch retry already exists";
const isToggle = ({ on, what }: Operation) => on === "Convoy" && /^PUT .*\/pause$/.test(what);
const isBatch = ({ on, what }: Operation) => on === "Convoy" && /batchretry$/.test(what);

let env: Bindings;
let id: string;

beforeEach(async () => {
  vi.spyOn(console, "log").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
  env = newEnv();
  id = await newEndpoint(env);
});
afterEach(() => void vi.useRealTimers());

const pause = (by = env) => call(by, "POST", `/endpoint/${id}/pause`);
const activate = (by = env) => call(by, "POST", `/endpoint/${id}/activate`);
const recorded = async () => (await records(env)).find((row) => row.id === id)?.status;
const atGateway = async () =>
  (await atConvoy<{ status: string }>(env, "GET", `/endpoints/${id}`)).status;
const both = async () => [await recorded(), await atGateway()];

/** Sets the status at Convoy as its own worker does. */
async function setStatus(status: string): Promise<void> {
  const inbox = new URL(`/inbox/endpoints/${id}`, env.CONVOY_BASE_URL);
  const given = await fetch(inbox, { method: "PUT", body: JSON.stringify({ status }) });
  expect(given.status).toBe(200);
  await given.body?.cancel();
}

/** Publishes an event and waits until its delivery has this status. */
async function publish(item: string, becomes: "Success" | "Discarded"): Promise<void> {
  await call(env, "POST", "/todo", { item });
  await vi.waitFor(async () => {
    const found = (await deliveries(env)).find(({ body }) => JSON.parse(body).todo.item === item);
    expect(found?.status).toBe(becomes);
  });
}

/** Waits until Convoy has delivered everything. @returns the items received, sorted, repeats included */
async function delivered(): Promise<string[]> {
  return vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all.map(({ status }) => status).filter((status) => status !== "Success")).toEqual([]);
    return all.map(({ body }) => JSON.parse(body).todo.item as string).sort();
  });
}

/** Lets the current lease run out, then runs the cron. */
async function cronLater(by = env): Promise<void> {
  passTime(LEASE_MS + 1_000);
  await cron(by);
}

test("events during a pause are delivered when it is over, each once", async () => {
  await publish("before", "Success");
  const paused = await pause();
  expect(paused).toMatchObject({ status: 200, body: { id, status: "paused" } });
  expect(await both()).toEqual(["paused", "paused"]);
  await publish("meanwhile 1", "Discarded");
  await publish("meanwhile 2", "Discarded");

  const active = await activate();
  expect(active).toMatchObject({ status: 200, body: { id, status: "active" } });
  expect(await both()).toEqual(["active", "active"]);
  expect((await records(env))[0]?.paused_at).toBeNull();
  expect(await delivered()).toEqual(["before", "meanwhile 1", "meanwhile 2"]);
  expect((await deliveries(env)).map(({ attempts }) => attempts)).toEqual([1, 1, 1]);
  await publish("after", "Success");
});

test("while another batch is running it stays activating, and the cron later recovers the rest", async () => {
  await pause();
  await publish("meanwhile", "Discarded");
  let busy = true;
  const crowded = around(env, async (operation, run) =>
    isBatch(operation) && busy ? refusalOf(400, BUSY) : run(),
  );
  expect(await activate(crowded)).toMatchObject({ status: 200, body: { status: "activating" } });
  expect(await both()).toEqual(["activating", "active"]);
  await publish("after", "Success");

  await cronLater(crowded);
  expect(await recorded()).toBe("activating");
  busy = false;
  await cronLater(crowded);
  expect(await both()).toEqual(["active", "active"]);
  expect(await delivered()).toEqual(["after", "meanwhile"]);
});

describe("asking twice", () => {
  test.each([
    ["pause", pause, "paused"],
    ["activate", activate, "active"],
  ] as const)(
    "a needless %s asks Convoy for the status and changes nothing",
    async (_, move, status) => {
      if (status === "paused") await pause();
      const watched = recording(env);
      expect(await move(watched.env)).toMatchObject({ status: 200, body: { status } });
      const asked = watched.operations.filter(({ on }) => on === "Convoy");
      expect(asked.map(({ what }) => what)).toEqual([`GET /endpoints/${id}`]);
      expect(await both()).toEqual([status, status]);
    },
  );

  test.each([
    ["pause", pause, "paused"],
    ["activate", activate, "active"],
  ] as const)("ten concurrent calls of %s toggle once", async (_, move, status) => {
    if (status === "active") await pause();
    const watched = recording(env);
    const replies = await Promise.all(Array.from({ length: 10 }, () => move(watched.env)));
    expect(watched.operations.filter(isToggle)).toHaveLength(1);
    expect(await both()).toEqual([status, status]);
    const statuses = replies.map((reply) => reply.status);
    expect(statuses).toContain(200);
    expect(new Set([...statuses, 409])).toEqual(new Set([200, 409]));
  });

  test("concurrent pauses and activations end in one of the two, on both sides", async () => {
    await Promise.all([pause(), activate(), pause(), activate()]);
    await cronLater();
    const [row, there] = await both();
    expect(["active", "paused"]).toContain(row);
    expect(there).toBe(row);
  });

  test("while one is under way, another is a 409 without a call to Convoy", async () => {
    await env.DB.prepare("UPDATE endpoint SET status = 'pausing', due_at = ?").bind(FAR).run();
    const watched = recording(env);
    for (const move of [pause, activate]) {
      const reply = await move(watched.env);
      expect(reply).toMatchObject({
        status: 409,
        body: { error: expect.stringMatching(/pausing/) },
      });
    }
    expect(watched.operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  });
});

describe("Convoy's real status is checked first", () => {
  test("an endpoint that Convoy disabled is activated, though the record says active", async () => {
    await setStatus("inactive");
    await publish("meanwhile", "Discarded");
    expect(await activate()).toMatchObject({ status: 200, body: { status: "active" } });
    expect(await both()).toEqual(["active", "active"]);
    expect(await delivered()).toEqual(["meanwhile"]);
  });

  test("an endpoint unpaused in the dashboard is paused, though the record says paused", async () => {
    await pause();
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    expect(await pause()).toMatchObject({ status: 200, body: { status: "paused" } });
    expect(await both()).toEqual(["paused", "paused"]);
  });

  test("a missing endpoint is activated if Convoy has it", async () => {
    await env.DB.prepare("UPDATE endpoint SET status = 'missing'").run();
    expect(await activate()).toMatchObject({ status: 200, body: { status: "active" } });
    expect(await both()).toEqual(["active", "active"]);
  });

  test("an endpoint paused in the portal is not toggled back by a pause", async () => {
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    const watched = recording(env);
    expect(await pause(watched.env)).toMatchObject({ status: 200, body: { status: "paused" } });
    expect(watched.operations.filter(isToggle)).toEqual([]);
    expect(await both()).toEqual(["paused", "paused"]);
  });

  test("an endpoint activated in the portal is not toggled back, and gets what was discarded", async () => {
    await pause();
    await publish("meanwhile", "Discarded");
    await atConvoy(env, "PUT", `/endpoints/${id}/pause`);
    const watched = recording(env);
    expect(await activate(watched.env)).toMatchObject({ status: 200, body: { status: "active" } });
    expect(watched.operations.filter(isToggle)).toEqual([]);
    expect(await delivered()).toEqual(["meanwhile"]);
  });

  test("an endpoint that Convoy disabled stays inactive when paused, and can be activated", async () => {
    await setStatus("inactive");
    expect(await pause()).toMatchObject({ status: 200, body: { status: "inactive" } });
    expect(await both()).toEqual(["inactive", "inactive"]);
    expect(await activate()).toMatchObject({ status: 200, body: { status: "active" } });
    expect(await both()).toEqual(["active", "active"]);
  });

  test("an endpoint gone from Convoy is a 409 and missing, on every call", async () => {
    await atConvoy(env, "DELETE", `/endpoints/${id}`);
    for (const move of [pause, pause, activate]) {
      const reply = await move();
      expect(reply).toMatchObject({
        status: 409,
        body: { error: expect.stringMatching(/missing/) },
      });
      expect(await recorded()).toBe("missing");
    }
    expect((await call(env, "DELETE", `/endpoint/${id}`)).status).toBe(200);
  });
});

describe("if Convoy fails midway", () => {
  test("a toggle that took effect though its answer was lost is not repeated", async () => {
    const lost = failing(env, isToggle, { error: new TypeError("fetch failed"), done: true });
    const reply = await pause(lost);
    expect(reply.status).toBe(503);
    expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
    expect(await both()).toEqual(["pausing", "paused"]);
    const watched = recording(env);
    await cronLater(watched.env);
    expect(watched.operations.filter(isToggle)).toEqual([]);
    expect(await both()).toEqual(["paused", "paused"]);
  });

  test("a toggle that never arrived is done by the cron", async () => {
    const lost = failing(env, isToggle, { error: new TypeError("fetch failed") });
    expect((await pause(lost)).status).toBe(503);
    expect(await both()).toEqual(["pausing", "active"]);
    await cronLater();
    expect(await both()).toEqual(["paused", "paused"]);
  });

  test("an activation survives an outage, and the cron leaves it alone while its lease runs", async () => {
    await pause();
    await publish("meanwhile", "Discarded");
    await setFaults(env, { status: 503 });
    expect((await activate()).status).toBe(503);
    for (let i = 0; i < 3; i++) await cronLater();
    expect(await recorded()).toBe("activating");
    await setFaults(env, {});
    await cron(env);
    expect(await recorded()).toBe("activating");
    await cronLater();
    expect(await both()).toEqual(["active", "active"]);
    expect(await delivered()).toEqual(["meanwhile"]);
  });

  test.each([
    ["before it", false],
    ["after it", true],
  ])("a batch whose connection is lost %s is repeated until it is answered", async (_, done) => {
    await pause();
    await publish("meanwhile", "Discarded");
    const lost = failing(env, isBatch, { error: new TypeError("fetch failed"), done });
    expect(await activate(lost)).toMatchObject({ status: 200, body: { status: "activating" } });
    await cronLater();
    expect(await both()).toEqual(["active", "active"]);
    expect(await delivered()).toEqual(["meanwhile"]);
  });
});

describe("a Worker that dies at any step", () => {
  const tried = { pause: 0, activate: 0 };
  afterAll(() => console.info(`cuts: ${JSON.stringify(tried)}`));

  test.each([
    ["pause", "active", "paused"],
    ["activate", "paused", "active"],
  ] as const)(
    "of %s leaves the endpoint %s or %s on both sides",
    async (move, before, wanted) => {
      for (const when of CUTS) {
        for (let at = 0; ; at++) {
          vi.useRealTimers();
          env = newEnv();
          id = await newEndpoint(env);
          if (before === "paused") {
            await pause();
            await publish("meanwhile", "Discarded");
          }
          const path = `/endpoint/${id}/${move}`;
          const { reply, operation } = await cutCall(env, at, when, "POST", path);
          if (!operation) {
            expect(reply?.status).toBe(200);
            break;
          }
          tried[move]++;
          await cronLater();
          const [row, there] = await both();
          expect({ at, when, operation, row, there }).toEqual({
            at,
            when,
            operation,
            row: expect.stringMatching(`^(${before}|${wanted})$`),
            there: row,
          });
          // The caller asks again, which must work and lose nothing.
          expect((await begin(env, "POST", path)).body.status).toBe(wanted);
          expect(await both()).toEqual([wanted, wanted]);
          if (wanted === "active") expect(await delivered()).toEqual(["meanwhile"]);
        }
      }
    },
    60_000,
  );
});

test.each(["pause", "activate"])("%s of an unknown endpoint is a 404", async (move) => {
  const reply = await call(env, "POST", `/endpoint/none/${move}`);
  expect(reply).toMatchObject({ status: 404, body: { error: "Endpoint not found" } });
});
