/** What each request costs before its answer, and that no answer waits for Convoy. */
import { describe, expect, test, vi } from "vitest";
import { valueKey } from "../../src/outbox/store.ts";
import { todo } from "../../src/todo/resource.ts";
import {
  acceptance,
  around,
  type Operation,
  recording,
  withConvoy,
} from "../support/operations.ts";
import {
  accepted,
  begin,
  call,
  cron,
  letTimePass,
  log,
  logged,
  newEndpoint,
  newEnv,
  setFaults,
} from "../support/worker.ts";

/** KV's methods as they are; a batch, which is a transaction, as `batch`. */
const short = ({ on, what }: Operation) => `${on} ${what}`;

const READ = "KV get";
const LIST = "KV list";
/** The event and its deliveries: one transaction. */
const COMMIT = "D1 batch";
const costs: [string, string, unknown, string[]][] = [
  ["GET", "/todo/1", undefined, [READ]],
  ["GET", "/todo/2", undefined, [READ]],
  ["GET", "/todo", undefined, [LIST]],
  ["POST", "/todo", { item: "x" }, [COMMIT, "KV put"]],
  ["POST", "/todo", { id: 2, item: "x" }, [READ, COMMIT, "KV put"]],
  ["PUT", "/todo/1", { item: "y" }, [READ, COMMIT, "KV put"]],
  ["DELETE", "/todo/1", undefined, [READ, COMMIT, "KV delete"]],
];

describe.each(["", "?endpoint"])("with %j", (query) => {
  test.each(costs)(
    "%s %s with body %j does %j before it answers",
    async (method, path, body, expected) => {
      const env = newEnv();
      await call(env, "POST", "/todo", { id: 1, item: "x" });
      const endpoint = query && `?endpoint=${await newEndpoint(env)}`;
      // waitUntil's work starts before the answer is read, so it is held back until then.
      const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
      const operations: string[] = [];
      let done = false;
      const watched = around(env, async (operation, run) => {
        const name = short(operation);
        if (!done && name === expected[operations.length]) operations.push(name);
        else await answered;
        return run();
      });
      const reply = await begin(watched, method, `${path}${endpoint}`, body);
      done = true;
      expect(reply.status).toBeLessThan(500);
      expect(operations).toEqual(expected);
      answer();
      await reply.done();
    },
  );
});

describe("while Convoy hangs", () => {
  const routes: [string, string, unknown, number][] = [
    ["POST", "/todo", { id: 2, item: "x" }, 201],
    ["POST", "/todo", { item: "x" }, 201],
    ["PUT", "/todo/1", { item: "y" }, 200],
    ["DELETE", "/todo/1", undefined, 200],
    ["GET", "/todo/1", undefined, 200],
    ["GET", "/todo", undefined, 200],
    ["GET", "/todo/9", undefined, 404],
    ["PUT", "/todo/9", { item: "y" }, 404],
  ];
  test.each(routes)(
    "%s %s is answered in full before Convoy answers",
    async (method, path, body, status) => {
      const env = newEnv();
      await call(env, "POST", "/todo", { id: 1, item: "x" });
      const endpoint = await newEndpoint(env);
      const order: string[] = [];
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      const hanging = withConvoy(env, async () => {
        await released;
        order.push("Convoy");
        return acceptance();
      });
      const reply = await begin(hanging, method, `${path}?endpoint=${endpoint}`, body);
      order.push("answer");
      expect(reply.status).toBe(status);
      release();
      await reply.done();
      expect(order).toEqual(["answer", "Convoy"]);
    },
  );

  test("the change still reaches KV, and its row says so before Convoy answers", async () => {
    const env = newEnv();
    await newEndpoint(env);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const hanging = withConvoy(env, async () => {
      await released;
      return acceptance();
    });
    const reply = await begin(hanging, "POST", "/todo", { id: 1, item: "x" });
    await vi.waitFor(async () => expect(await log(env)).toMatchObject([{ projected: 1 }]), {
      timeout: 20_000,
    });
    expect(await logged(env)).toMatchObject([{ status: "pending" }]);
    expect(await env.KV.get(valueKey(todo, "default", "1"))).not.toBeNull();
    release();
    await reply.done();
    expect(await logged(env)).toMatchObject([{ status: "sending" }]);
  });

  test("an event that Convoy dropped arrives once, when Convoy is back and the cron runs", async () => {
    const env = newEnv();
    const endpoint = await newEndpoint(env);
    await setFaults(env, { drop: true });
    const { headers, status } = await call(env, "POST", "/todo", { id: 1, item: "x" });
    expect(status).toBe(201);
    expect(await accepted(env)).toEqual([]);
    await setFaults(env, {});
    for (let run = 0; run < 3; run++) {
      await letTimePass(env);
      await cron(env);
    }
    expect((await accepted(env)).map((event) => event.idempotency_key)).toEqual([
      `${headers.get("X-Event-Id")}.${endpoint}`,
    ]);
  });
});

test("a request refused for its token or path costs no operation", async () => {
  const { env, operations } = recording({ ...newEnv(), AUTH: "jwt", AUTH_SECRET: "x".repeat(32) });
  for (const path of ["/todo", "/todo/1", "/endpoint", "/delivery", "/nowhere"]) {
    await call(env, "GET", path);
  }
  expect(operations).toEqual([]);
});

test("a change of an owner without endpoints posts nothing", async () => {
  const { env, operations } = recording(newEnv());
  const { status } = await call(env, "POST", "/todo", { item: "x" });
  expect(status).toBe(201);
  expect(operations.filter(({ on }) => on === "Convoy")).toEqual([]);
  expect(await logged(env)).toEqual([]);
});

test("a change is posted once to each endpoint that takes its type", async () => {
  const env = newEnv();
  const all = await newEndpoint(env);
  const some = { name: "n", url: "https://receiver.example/2", event_types: ["deleted"] };
  await call(env, "POST", "/endpoint", some);
  const named = await call(env, "POST", "/endpoint", { ...some, event_types: ["created"] });
  const { headers } = await call(env, "POST", "/todo", { item: "x" });
  const id = headers.get("X-Event-Id");
  expect((await accepted(env)).map((one) => one.idempotency_key).sort()).toEqual(
    [`${id}.${all}`, `${id}.${named.body["Endpoint ID"]}`].sort(),
  );
});
