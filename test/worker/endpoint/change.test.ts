/** Changes: kept in an outage, made later; refused, and wanted as before; at once, and none is lost. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { sleep } from "../../../src/run.ts";
import type { Bindings } from "../../../src/settings.ts";
import {
  atConvoy,
  cutCall,
  differencesOf,
  inConvoy,
  passTime,
  records,
} from "../../support/cut-worker.ts";
import { around, failing, type Operation, recording, refusalOf } from "../../support/operations.ts";
import {
  begin,
  call,
  cron,
  deliveries,
  newEndpoint,
  newEnv,
  quietEnv,
} from "../../support/worker.ts";

const MINUTE_MS = 60_000;

let env: Bindings;
let id: string;

beforeEach(async () => {
  env = quietEnv();
  id = await newEndpoint(env);
});
afterEach(() => void vi.useRealTimers());

const put = (body: object, by = env) => call(by, "PUT", `/endpoint/${id}`, body);
const move = (what: string, by = env) => call(by, "POST", `/endpoint/${id}/${what}`);
const get = async () => (await call(env, "GET", `/endpoint/${id}`)).body;
const there = () => atConvoy<Record<string, unknown>>(env, "GET", `/endpoints/${id}`);
const row = async () => (await records(env)).find((one) => one.id === id);
const isPut = ({ on, what }: Operation) => on === "Convoy" && /^PUT \/endpoints\/\w+$/.test(what);
const isConvoy = ({ on }: Operation) => on === "Convoy";
const down = () => failing(env, isConvoy, { error: new TypeError("fetch failed") });

/** The cron, each minute. */
async function minutes(count: number, by = env): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    passTime(MINUTE_MS);
    await cron(by);
  }
}

describe("while Convoy is down", () => {
  test("a change is kept: 202, pending, with words; then it is made within a run", async () => {
    const reply = await put({ name: "N", event_types: ["created"] }, down());
    expect(reply).toMatchObject({
      status: 202,
      body: { name: "N", event_types: ["created"], pending: true },
    });
    expect(reply.body.error).toBe("Convoy not reachable.");
    expect((await there()).name).toBe("Receiver");
    await minutes(1);
    expect(await get()).toMatchObject({ name: "N", event_types: ["created"], status: "active" });
    expect(await get()).not.toHaveProperty("pending");
    expect(await get()).not.toHaveProperty("error");
    expect((await there()).name).toBe("N");
  });

  test("a pause and an activation are made here, at once, and ask nobody", async () => {
    const watched = recording(down());
    expect(await move("pause", watched.env)).toMatchObject({
      status: 200,
      body: { status: "paused" },
    });
    expect(await move("activate", watched.env)).toMatchObject({
      status: 200,
      body: { status: "active" },
    });
    expect(watched.operations.filter(isConvoy)).toEqual([]);
  });

  test("a pause, then a PUT; then health: paused within a run, the fields right", async () => {
    await move("pause", down());
    expect((await put({ name: "N" }, down())).status).toBe(202);
    await minutes(1);
    expect(await get()).toMatchObject({ name: "N", status: "paused" });
    expect(await get()).not.toHaveProperty("pending");
    expect(await there()).toMatchObject({ name: "N", status: "active" });
  });

  test.each([
    ["a PUT with headers", () => put({ name: "N", headers: { "X-Key": "v" } }, down())],
    ["rotate-secret", () => move("rotate-secret", down())],
  ])("%s is a 503 and changes nothing", async (_, change) => {
    const before = await get();
    const reply = await change();
    expect(reply.status).toBe(503);
    expect(reply.headers.get("Retry-After")).toMatch(/^\d+$/);
    await minutes(2);
    expect(await get()).toMatchObject({ ...before, updated_at: expect.any(String) });
    expect(await there()).toMatchObject({ name: "Receiver" });
  });

  test("it is tried again every five minutes, and made as soon after a long outage", async () => {
    await put({ name: "N" }, down());
    // Callers who try again in vain do not make it wait longer.
    for (let times = 0; times < 3; times++) await move("rotate-secret", down());
    const watched = recording(down());
    await minutes(30, watched.env);
    const reads = watched.operations.filter(({ what }) => what === `GET /endpoints/${id}`);
    expect(reads.length).toBeGreaterThan(4);
    expect(reads.length).toBeLessThan(8);
    await minutes(6);
    expect(await there()).toMatchObject({ name: "N" });
  });
});

describe("what Convoy refuses", () => {
  const refusal = () =>
    around(env, async (one, run) =>
      isPut(one) ? refusalOf(400, "only https endpoints allowed") : run(),
    );

  test("is a 400 with the reason; wanted is as before", async () => {
    const before = await get();
    const reply = await put({ name: "N", rate_limit: { requests: 1, per_s: 1 } }, refusal());
    expect(reply).toMatchObject({
      status: 400,
      body: { error: "Convoy refused the endpoint: only https endpoints allowed." },
    });
    await minutes(1);
    expect({ ...(await get()), updated_at: "" }).toEqual({ ...before, updated_at: "" });
    expect((await put({ name: "N" })).status).toBe(200);
  });

  test("leaves a change that was kept before: it is made", async () => {
    await put({ description: "kept" }, down());
    expect((await put({ name: "N" }, refusal())).status).toBe(400);
    await minutes(2);
    expect(await get()).toMatchObject({ description: "kept", name: "Receiver" });
    expect(await there()).toMatchObject({ description: "kept", name: "Receiver" });
  });

  test("of a change that was kept: the record says so, and it is tried again", async () => {
    await put({ name: "N" }, down());
    await minutes(3, refusal());
    expect(await get()).toMatchObject({
      name: "N",
      pending: true,
      error: "Convoy refused it: only https endpoints allowed.",
    });
    passTime(60 * MINUTE_MS);
    await minutes(1);
    expect(await there()).toMatchObject({ name: "N" });
  });

  test("does not keep a disabled endpoint from being activated", async () => {
    await inConvoy(env, id, { status: "inactive" });
    await minutes(6);
    expect((await move("activate", down())).status).toBe(202);
    expect((await put({ name: "N" }, refusal())).status).toBe(400);
    await minutes(2);
    expect(await get()).toMatchObject({ status: "active", name: "Receiver" });
    expect(await get()).not.toHaveProperty("pending");
  });

  test("of two at once takes both back", async () => {
    vi.mocked(sleep).mockImplementation(() => new Promise((go) => setTimeout(go, 20)));
    const by = refusal();
    const replies = await Promise.all([put({ name: "A" }, by), put({ name: "B" }, by)]);
    expect(replies.map(({ status }) => status)).toEqual([400, 400]);
    expect(await get()).toMatchObject({ name: "Receiver" });
    expect(await get()).not.toHaveProperty("pending");
  });

  test("of a change that was kept concerns nothing that is only here, and no activation", async () => {
    await inConvoy(env, id, { status: "inactive" });
    await minutes(6);
    await put({ name: "N" }, down());
    passTime(91_000);
    expect(await put({ event_types: ["created"] }, refusal())).toMatchObject({
      status: 202,
      body: { event_types: ["created"], name: "N", pending: true },
    });
    expect(await move("activate", refusal())).toMatchObject({
      status: 202,
      body: { status: "active", pending: true },
    });
    expect(await there()).toMatchObject({ status: "active" });
  });

  test.each([402, 403, 404, 409, 422, 429, 500])(
    "with a %d, or a 400 that is not the caller's fault, is kept: 202",
    async (status) => {
      for (const [code, message] of [
        [status, "whatever"],
        [400, "failed to connect to `user=convoy`"],
      ] as const) {
        const broken = around(env, async (one, run) =>
          isPut(one) ? refusalOf(code, message) : run(),
        );
        const reply = await put({ name: `${code}` }, broken);
        expect(reply).toMatchObject({ status: 202, body: { pending: true } });
        expect(reply.body.error).toBe(`Convoy answered ${code}.`);
      }
    },
  );
});

describe("a PUT whose answer was lost", () => {
  test.each([
    ["before it arrived", false],
    ["after it was done", true],
  ])("%s: 202, and record and Convoy agree on what is wanted", async (_, done) => {
    const lost = failing(env, isPut, { error: new TypeError("fetch failed"), done });
    expect(await put({ name: "N" }, lost)).toMatchObject({ status: 202, body: { pending: true } });
    await minutes(3);
    expect(await get()).toMatchObject({ name: "N" });
    expect(await get()).not.toHaveProperty("pending");
    expect(await there()).toMatchObject({ name: "N" });
  });

  test("and that is carried out a minute later does not undo a newer change", async () => {
    let late: () => Promise<unknown> = async () => {};
    const slow = around(env, async (one, run) => {
      if (!isPut(one)) return run();
      late = run;
      throw new DOMException("no answer", "TimeoutError");
    });
    expect((await put({ name: "old" }, slow)).status).toBe(202);
    expect((await put({ name: "new" })).status).toBe(202);
    passTime(MINUTE_MS);
    await late();
    await minutes(2);
    expect([await get(), await there()]).toMatchObject([{ name: "new" }, { name: "new" }]);
  });

  test("while something else is wanted meanwhile: both are made", async () => {
    const lost = failing(env, isPut, { error: new TypeError("fetch failed"), done: true });
    await put({ description: "D" }, down());
    await put({ name: "N" }, lost);
    await move("pause");
    await minutes(3);
    const both = { name: "N", description: "D" };
    expect([await get(), await there()]).toMatchObject([{ ...both, status: "paused" }, both]);
  });
});

test("a PUT with headers is made, though what comes after it gets no answer", async () => {
  const by = failing(env, ({ what }) => what === "GET /subscriptions");
  expect(await put({ name: "N", headers: { "X-Key": "v" } }, by)).toMatchObject({
    status: 200,
    body: { name: "N", header_names: ["X-Key"] },
  });
  await minutes(2);
  expect([await get(), await there()]).toMatchObject([{ name: "N" }, { name: "N" }]);
});

describe("at once", () => {
  beforeEach(
    () => void vi.mocked(sleep).mockImplementation(() => new Promise((go) => setTimeout(go, 20))),
  );

  test("two PUTs lose neither field", async () => {
    const replies = await Promise.all([put({ name: "N" }), put({ description: "D" })]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    const both = { name: "N", description: "D" };
    expect([await there(), await row()]).toMatchObject([both, both]);
  });

  test("what is wanted while a PUT is at Convoy stays, the PUT too", async () => {
    const during = around(env, async (one, run) => {
      const answer = await run();
      if (isPut(one)) {
        await move("pause");
        await call(down(), "PUT", `/endpoint/${id}`, { description: "D" });
      }
      return answer;
    });
    expect((await put({ name: "N" }, during)).body).toMatchObject({ name: "N", status: "paused" });
    await minutes(2);
    const both = { name: "N", description: "D" };
    expect([await get(), await there()]).toMatchObject([{ ...both, status: "paused" }, both]);
  });

  test("a change back to what was applied, while the change is at Convoy, wins", async () => {
    const during = around(env, async (one, run) => {
      const answer = await run();
      if (isPut(one)) await call(down(), "PUT", `/endpoint/${id}`, { name: "Receiver" });
      return answer;
    });
    await put({ name: "N" }, during);
    await minutes(2);
    expect([await get(), await there()]).toMatchObject([
      { name: "Receiver" },
      { name: "Receiver" },
    ]);
  });

  test("a change in the dashboard is adopted though something else is wanted meanwhile", async () => {
    const { name, url } = await there();
    await atConvoy(env, "PUT", `/endpoints/${id}`, { name: "theirs", url, owner_id: "default" });
    expect(name).toBe("Receiver");
    const during = around(env, async (one, run) => {
      const answer = await run();
      if (isPut(one)) await call(down(), "PUT", `/endpoint/${id}`, { url: "https://new.example/" });
      return answer;
    });
    await put({ description: "D" }, during);
    await minutes(2);
    const all = { name: "theirs", description: "D", url: "https://new.example/" };
    expect([await get(), await there()]).toMatchObject([all, all]);
  });

  test("a change that is refused takes nothing back that was made just before it", async () => {
    let isFirst = true;
    const after = around(env, async (one, run) => {
      // The other change is made after this one has read the record.
      if (one.on === "D1" && one.what === "batch" && isFirst) {
        isFirst = false;
        expect((await put({ name: "theirs" })).status).toBe(200);
      }
      return isPut(one) ? refusalOf(400, "only https endpoints allowed") : run();
    });
    expect((await put({ name: "refused" }, after)).status).toBe(400);
    await minutes(2);
    expect([await get(), await there()]).toMatchObject([{ name: "theirs" }, { name: "theirs" }]);
  });

  test("one that is slow calls nothing more when its lease is nearly over", async () => {
    const slow = recording(
      around(env, async (one, run) => {
        const answer = await run();
        if (one.what === `GET /endpoints/${id}`) passTime(80_000);
        return answer;
      }),
    );
    expect((await put({ name: "N" }, slow.env)).status).toBe(202);
    expect(slow.operations.filter(isPut)).toEqual([]);
    expect((await there()).name).toBe("Receiver");
    await minutes(2);
    expect([await get(), await there()]).toMatchObject([{ name: "N" }, { name: "N" }]);
  });

  test("a removal wins over a change", async () => {
    const during = around(env, async (one, run) => {
      const answer = await run();
      if (isPut(one)) await call(env, "DELETE", `/endpoint/${id}`);
      return answer;
    });
    expect((await put({ name: "N" }, during)).status).toBe(404);
    await minutes(2);
    expect(await differencesOf(env)).toEqual([]);
    expect(await row()).toMatchObject({ wanted: "removed", due_at: null });
  });
});

describe("Convoy's dashboard", () => {
  test("what it changed is adopted, but for what is wanted here", async () => {
    const theirs = { name: "theirs", url: "https://theirs.example/", owner_id: "default" };
    await atConvoy(env, "PUT", `/endpoints/${id}`, {
      ...theirs,
      rate_limit: 3,
      rate_limit_duration: 9,
    });
    const reply = await put({ description: "ours", name: "ours" });
    const all = { name: "ours", url: theirs.url, description: "ours" };
    expect(reply.body).toMatchObject({ ...all, rate_limit: { requests: 3, per_s: 9 } });
    expect(await there()).toMatchObject({ ...all, rate_limit: 3, rate_limit_duration: 9 });
  });

  test("what it changed gives way to a caller who names it, though it is as it was here", async () => {
    const { url } = await there();
    const theirs = { name: "theirs", url, owner_id: "default" };
    await atConvoy(env, "PUT", `/endpoints/${id}`, theirs);
    expect(await put({ name: "Receiver" })).toMatchObject({
      status: 200,
      body: { name: "Receiver" },
    });
    expect(await there()).toMatchObject({ name: "Receiver" });
    await atConvoy(env, "PUT", `/endpoints/${id}`, theirs);
    expect(await put({ name: "Receiver" }, down())).toMatchObject({ status: 202 });
    await minutes(2);
    expect([await get(), await there()]).toMatchObject([
      { name: "Receiver" },
      { name: "Receiver" },
    ]);
  });

  test("an owner that it changed is put back, with a warning", async () => {
    const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
    const { name, url } = await there();
    await atConvoy(env, "PUT", `/endpoints/${id}`, { name, url, owner_id: "mallory" });
    await put({ description: "ours" });
    expect(await there()).toMatchObject({ owner_id: "default" });
    expect(warned.mock.calls).toEqual([[expect.stringContaining(id)]]);
  });

  test("its client certificate, which is masked, is kept by a PUT", async () => {
    const cert = { client_cert: "c", client_key: "-----BEGIN k" };
    await inConvoy(env, id, { mtls_client_cert: cert });
    expect((await put({ name: "N" })).status).toBe(200);
    expect(await there()).toMatchObject({
      name: "N",
      mtls_client_cert: { client_cert: "c", client_key: "[REDACTED]" },
    });
  });

  const password = { type: "basic_auth", basic_auth: { username: "u", password: "secret" } };

  test("its password, which is masked, makes a PUT a 409 with words; nothing else stops", async () => {
    await inConvoy(env, id, { authentication: password, status: "inactive" });
    await minutes(6);
    const reply = await put({ name: "N" });
    expect(reply).toMatchObject({
      status: 409,
      body: { error: expect.stringMatching(/credentials .* lose them/) },
    });
    expect(await get()).toMatchObject({ name: "Receiver" });
    expect((await put({ event_types: ["created"] })).status).toBe(200);
    expect(await move("activate")).toMatchObject({ status: 200, body: { status: "active" } });
    expect((await there()).authentication).toMatchObject({ type: "basic_auth" });
  });

  test("its password is replaced by headers", async () => {
    await inConvoy(env, id, { authentication: password });
    expect((await put({ name: "N", headers: { "X-Key": "v" } })).status).toBe(200);
    expect(await there()).toMatchObject({ name: "N", authentication: { type: "api_key" } });
  });

  test("what it set and we do not know survives a PUT", async () => {
    const key = { type: "api_key", api_key: { header_name: "X-Key", header_value: "v" } };
    const { name, url } = await there();
    await atConvoy(env, "PUT", `/endpoints/${id}`, { name, url, authentication: key });
    expect(await put({ name: "N" })).toMatchObject({
      status: 200,
      body: { header_names: ["X-Key"] },
    });
    expect(await there()).toMatchObject({ authentication: key });
  });
});

describe("activate", () => {
  test.each(["inactive", "paused"])(
    "lifts one that is %s at Convoy there first",
    async (status) => {
      await inConvoy(env, id, { status });
      await minutes(6);
      expect(await get()).toMatchObject({ status: "disabled" });
      await call(env, "POST", "/todo", { item: "x" });
      expect(await deliveries(env)).toEqual([]);
      expect(await move("activate")).toMatchObject({ status: 200, body: { status: "active" } });
      expect(await there()).toMatchObject({ status: "active" });
      await minutes(1);
      await vi.waitFor(async () => {
        expect(await deliveries(env)).toMatchObject([{ status: "Success" }]);
      });
    },
  );

  test("of one that is paused here and there", async () => {
    await move("pause");
    await inConvoy(env, id, { status: "paused" });
    await minutes(6);
    expect(await get()).toMatchObject({ status: "paused" });
    expect(await move("activate")).toMatchObject({ status: 200, body: { status: "active" } });
    expect(await there()).toMatchObject({ status: "active" });
  });

  test("a toggle whose answer was lost is not flipped back", async () => {
    await inConvoy(env, id, { status: "paused" });
    await minutes(6);
    const isToggle = ({ what }: Operation) => what.endsWith("/pause");
    const lost = failing(env, isToggle, { error: new TypeError("fetch failed"), done: true });
    expect(await move("activate", lost)).toMatchObject({ status: 202, body: { pending: true } });
    await minutes(3);
    expect([await get(), await there()]).toMatchObject([
      { status: "active" },
      { status: "active" },
    ]);
  });

  test("is given up by a pause", async () => {
    await inConvoy(env, id, { status: "inactive" });
    await minutes(6);
    await move("activate", down());
    await move("pause");
    await minutes(3);
    expect([await get(), await there()]).toMatchObject([
      { status: "paused" },
      { status: "inactive" },
    ]);
  });
});

describe("a Worker that dies at any step", () => {
  test.each([
    ["PUT", "", { name: "N", rate_limit: { requests: 1, per_s: 2 } }],
    ["POST", "/activate", undefined],
    ["DELETE", "", undefined],
    ["POST", "/rotate-secret", undefined],
    ["PUT", "", { headers: { "X-Key": "v" } }],
  ] as const)("of %s %s %j leaves Convoy as wanted", async (method, rest, body) => {
    let cuts = 0;
    // A cut before an operation leaves what one after the operation before it leaves.
    for (let at = 0; ; at++) {
      vi.useRealTimers();
      env = newEnv();
      await env.DB.prepare("DELETE FROM endpoint").run();
      id = await newEndpoint(env);
      if (rest === "/activate") {
        await inConvoy(env, id, { status: "inactive" });
        await env.DB.prepare("UPDATE endpoint SET there = 'inactive'").run();
      }
      const { reply, operation } = await cutCall(
        env,
        at,
        "after",
        method,
        `/endpoint/${id}${rest}`,
        body,
      );
      if (!operation) {
        expect(reply?.status).toBe(200);
        break;
      }
      cuts++;
      await minutes(3);
      expect({ at, operation, found: await differencesOf(env) }).toMatchObject({
        found: [],
      });
      if (method === "DELETE") continue;
      // The caller asks again.
      expect((await begin(env, method, `/endpoint/${id}${rest}`, body)).status).toBe(200);
      expect(await differencesOf(env)).toEqual([]);
    }
    expect(cuts).toBeGreaterThan(1);
  });
});
