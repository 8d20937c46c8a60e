/** Values in KV: keys, metadata, and how few operations a read costs. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import type { AnyResource } from "../../../src/outbox/resource.ts";
import {
  listAll,
  listValues,
  readLarge,
  readValue,
  readVersions,
  valueKey,
  writeValue,
} from "../../../src/outbox/store.ts";
import type { Bindings } from "../../../src/settings.ts";
import { failing, recording } from "../../support/operations.ts";
import { part, type Thing, thing } from "../../support/thing.ts";

const env = testEnv as unknown as Bindings;
const { KV } = env;
const LARGE = "🚀".repeat(2_000);

const made = (id: number | string, name = "x") => ({ id, name, size: 1 }) as Thing;

function write(value: Thing, { owner = "me", kv = KV, of = thing as AnyResource, seq = 1 } = {}) {
  return writeValue(kv, of, owner, String(value.id), { seq, data: JSON.stringify(value) });
}

describe("keys", () => {
  test("of numbers sort like numbers, of text like text", () => {
    const ids = [0, 2, 9, 10, 11, 100, Number.MAX_SAFE_INTEGER];
    const keys = ids.map((id) => valueKey(thing, "me", String(id)));
    expect(keys.toSorted()).toEqual(keys);
    const texts = ["part_0", "part_A", "part_a", "part_aa", "part_b"];
    const textKeys = texts.map((id) => valueKey(part, "me", id));
    expect(textKeys.toSorted()).toEqual(textKeys);
  });

  test("fit KV's 512 bytes for the longest name, owner and id", () => {
    const longest = { ...part, name: "n".repeat(64) };
    const key = valueKey(longest, "é".repeat(127), `part_${"x".repeat(95)}`);
    expect(key.length).toBeLessThanOrEqual(512);
  });

  test.each([
    ["a", "a:"],
    ["a", "aa"],
    ["a:b", "a"],
    ["", ":"],
    ["A", "a"],
    ["é", "e"],
  ])("of the owners %j and %j are never in each other's list", async (one, other) => {
    await write(made(1, "one"), { owner: one });
    await write(made(1, "other"), { owner: other });
    expect((await listValues(KV, thing, one, { limit: 9 })).data).toMatchObject([{ name: "one" }]);
    expect(JSON.parse((await readValue(KV, thing, other, "1")) ?? "{}")).toMatchObject({
      name: "other",
    });
  });

  test("of two resources are never in each other's list, even if a name begins with the other", async () => {
    const things = { ...thing, name: "things" };
    await write(made(1, "thing"));
    await write(made(1, "things"), { of: things });
    expect((await listValues(KV, thing, "me", { limit: 9 })).data).toMatchObject([
      { name: "thing" },
    ]);
    expect((await listAll(KV, thing, { limit: 9 })).values).toMatchObject([{ id: "1" }]);
    expect((await listAll(KV, things, { limit: 9 })).values).toMatchObject([
      { data: { name: "things" } },
    ]);
  });
});

describe("a value", () => {
  test("is removed by a version without data", async () => {
    await write(made(1));
    await writeValue(KV, thing, "me", "1", { seq: 2, data: null });
    expect(await readValue(KV, thing, "me", "1")).toBeNull();
    expect((await listValues(KV, thing, "me", { limit: 9 })).data).toEqual([]);
  });

  test("has its version, and a missing one has none", async () => {
    await write(made(1), { seq: 7 });
    const keys = [valueKey(thing, "me", "1"), valueKey(thing, "me", "2")];
    expect([...(await readVersions(KV, keys)).values()]).toEqual([7, null]);
  });

  test.each([
    ["todo-like", thing, made(12)],
    ["with a text id", part, { id: "part_x-1", name: "lid", sealed: false }],
  ])("%s is listed among all owners' as the log knows it", async (_, of, value) => {
    const resource: AnyResource = of;
    const data = JSON.stringify(value);
    await writeValue(KV, resource, "é:1", String(value.id), { seq: 3, data });
    await writeValue(KV, resource, "me", String(value.id), {
      seq: 4,
      data: JSON.stringify({ ...value, name: LARGE }),
    });
    await KV.put(`${resource.name}:somebody's own key`, "x");
    const { values, cursor } = await listAll(KV, resource, { limit: 9 });
    expect(cursor).toBeNull();
    const id = String(value.id);
    expect(values.toSorted((a, b) => a.seq - b.seq)).toEqual([
      { key: valueKey(resource, "é:1", id), owner: "é:1", id, seq: 3, data: value },
      { key: valueKey(resource, "me", id), owner: "me", id, seq: 4, data: null },
    ]);
    const large = await readLarge(KV, [valueKey(resource, "me", id), "missing"]);
    expect([...large.values()]).toEqual([{ ...value, name: LARGE }]);
  });
});

describe("a list", () => {
  test("of 300 small values is one KV operation", async () => {
    const watched = recording(env);
    const ids = Array.from({ length: 300 }, (_, id) => id);
    await Promise.all(ids.map((id) => write(made(id))));
    const page = await listValues(watched.env.KV, thing, "me", { limit: 1_000 });
    expect(page.data.map(({ id }) => id)).toEqual(ids);
    expect(page.cursor).toBeUndefined();
    expect(watched.operations).toEqual([{ on: "KV", what: "list" }]);
  });

  test("reads large values in bulk, 100 at a time, and keeps the order", async () => {
    const watched = recording(env);
    const ids = Array.from({ length: 110 }, (_, id) => id);
    const name = (id: number) => (id % 20 === 0 ? `small ${id}` : `${LARGE} ${id}`);
    await Promise.all(ids.map((id) => write(made(id, name(id)))));
    const { data } = await listValues(watched.env.KV, thing, "me", { limit: 1_000 });
    expect(data.map((one) => one.name)).toEqual(ids.map(name));
    // 104 large ones.
    expect(watched.operations.map(({ what }) => what)).toEqual(["list", "get", "get"]);
  });

  test("is in pages", async () => {
    for (const id of [3, 1, 2]) await write(made(id));
    const one = await listValues(KV, thing, "me", { limit: 2 });
    expect(one.data.map(({ id }) => id)).toEqual([1, 2]);
    const two = await listValues(KV, thing, "me", { limit: 2, cursor: one.cursor });
    expect(two).toEqual({ data: [made(3)] });
  });

  test.each([
    ["just fits metadata", 1_024, true],
    ["is a byte too large for metadata", 1_025, false],
  ])("with a value that %s has it whole", async (_, bytes, inMetadata) => {
    const around = JSON.stringify({ seq: 1, thing: made(1, "") }).length;
    const name = `é${"x".repeat(bytes - around - 2)}`;
    await write(made(1, name));
    const [key] = (await KV.list()).keys;
    expect(JSON.stringify(key?.metadata).includes(name)).toBe(inMetadata);
    expect((await listValues(KV, thing, "me", { limit: 9 })).data).toMatchObject([{ name }]);
  });

  test("has only the owner's values, wherever a cursor leads", async () => {
    for (const [owner, name] of [
      ["me", "mine"],
      ["me:", "not mine"],
      ["others", "theirs"],
      ["others", LARGE],
    ] as const) {
      await write(made(name.length, name), { owner });
    }
    // The platform does not promise that another list's cursor is refused, or keeps to the prefix.
    const careless = new Proxy(KV, {
      get: (kv, name) =>
        name === "list" ? () => kv.list({ limit: 9 }) : Reflect.get(kv, name).bind(kv),
    });
    const page = await listValues(careless, thing, "me", { limit: 9, cursor: "of another list" });
    expect(page).toEqual({ data: [made(4, "mine")] });
  });

  test("leaves out a value removed between list and read", async () => {
    for (const id of [1, 2]) await write(made(id, LARGE));
    const racing = new Proxy(KV, {
      get: (kv, name) =>
        name !== "get"
          ? Reflect.get(kv, name).bind(kv)
          : async (...given: never[]) => {
              await kv.delete(valueKey(thing, "me", "1"));
              return Reflect.apply(kv.get, kv, given);
            },
    });
    expect((await listValues(racing, thing, "me", { limit: 9 })).data).toMatchObject([{ id: 2 }]);
  });

  const refused = new Error("KV LIST failed: 400 Invalid cursor");
  test.each([
    ["a cursor that KV refuses is the caller's mistake", "made up", refused, "BadCursor"],
    ["an outage with a cursor is an outage", "c", new Error("KV LIST failed: 503"), "StorageError"],
    ["a refusal without a cursor is an outage", undefined, refused, "StorageError"],
  ])("%s", async (_, cursor, error, name) => {
    const broken = failing(env, ({ what }) => what === "list", { error });
    const page = { limit: 9, cursor };
    await expect(listValues(broken.KV, thing, "me", page)).rejects.toMatchObject({ name });
    await expect(listAll(broken.KV, thing, page)).rejects.toMatchObject({ name });
  });
});
