/** An event that the walk finds while a request still works on it, or before KV has it. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Bindings, LEASE_MS } from "../../../src/config.ts";
import { passTime } from "../../support/cut-worker.ts";
import { idOf, leaveBehind, publish, walkingNow } from "../../support/events.ts";
import { failing, refusalOf } from "../../support/operations.ts";
import { scripted } from "../../support/scripted-convoy.ts";
import { accepted, begin, call, cron, log, newEndpoint, newEnv } from "../../support/worker.ts";

beforeEach(() => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  vi.spyOn(console, "log").mockImplementation(() => {});
});
afterEach(() => void vi.useRealTimers());

const later = () => Date.now() + 600_000;
/** The same settings, but Convoy lists only this key. */
const listing = (env: Bindings, key: string) =>
  scripted(walkingNow(env), { list: () => ({ events: [{ idempotency_key: key }] }) }).env;

describe("an event whose answer was lost", () => {
  test("is confirmed without being posted again, and its replay takes a new key", async () => {
    const env = newEnv();
    await newEndpoint(env);
    const lost = failing(env, ({ on, what }) => on === "Convoy" && what.startsWith("POST"), {
      done: true,
    });
    const id = await publish(lost);
    const posts = (await accepted(env)).length;
    expect(await log(env)).toMatchObject([{ state: "pending", accepted_at: null }]);
    await env.DB.prepare("UPDATE event SET due_at = ?").bind(later()).run();
    await vi.waitFor(async () => {
      await env.DB.prepare("UPDATE cron_state SET walk_since = NULL").run();
      await cron(walkingNow(env));
      expect(await log(env)).toMatchObject([
        { state: "confirmed", due_at: null, error: null, accepted_at: expect.any(Number) },
      ]);
    });
    expect(await accepted(env)).toHaveLength(posts);
    const reply = await call(env, "POST", `/event/${id}/replay`);
    expect(reply.body.idempotency_key).toBe(`${id}:1`);
  });

  test.each(["stored", "not stored"])(
    "and that is confirmed (%s in KV) stays so, though its request is then refused",
    async (how) => {
      const base = newEnv();
      const { promise: walked, resolve: release } = Promise.withResolvers<void>();
      const slow = scripted(base, {
        async post() {
          await walked;
          return refusalOf(500, "");
        },
      });
      // Whether KV has it before the walk.
      const env = how === "stored" ? slow.env : failing(slow.env, ({ what }) => what === "put");
      const reply = await begin(env, "POST", "/todo", { id: 1, item: "x" });
      const id = reply.headers.get("X-Event-Id") ?? "";
      if (how === "stored") {
        await vi.waitFor(
          async () => expect(await log(base)).toMatchObject([{ stored: 1, state: "pending" }]),
          { timeout: 20_000 },
        );
      }
      await cron(listing(base, id));
      expect(await log(base)).toMatchObject([{ state: "confirmed" }]);
      release();
      await reply.done();
      const end = { state: "confirmed", attempts: 0, error: null };
      expect(await log(base)).toMatchObject([end]);
      await cron(base);
      expect(await log(base)).toMatchObject([{ ...end, stored: 1, due_at: null }]);
    },
  );
});

test("an event that KV lacks is confirmed, and finished once KV has it", async () => {
  const env = newEnv();
  const lease = Date.now() + LEASE_MS;
  await leaveBehind(env, 1, () => ({
    state: "accepted",
    accepted_at: 1,
    stored: 0,
    due_at: lease,
  }));
  await cron(listing(env, idOf(1)));
  expect(await log(env)).toMatchObject([
    { state: "confirmed", stored: 0, due_at: lease, finished_at: null },
  ]);
  passTime(LEASE_MS);
  await cron(env);
  expect(await log(env)).toMatchObject([{ state: "confirmed", stored: 1, due_at: null }]);
  expect(await accepted(env)).toEqual([]);
});
