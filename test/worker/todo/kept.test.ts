/** What is in KV stays valid: 0.1.0 wrote these keys, values and metadata, byte for byte. */
import { env as testEnv } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { listAll, listValues, readValue, writeValue } from "../../../src/outbox/store.ts";
import type { Bindings } from "../../../src/settings.ts";
import { todo } from "../../../src/todo/resource.ts";
import { call, newEnv } from "../../support/worker.ts";

const { KV } = testEnv as unknown as Bindings;

// 900 characters that are three bytes each in UTF-8: too large for metadata.
const LARGE = "€".repeat(900);
const WRITTEN = [
  {
    key: "todo:ZGVmYXVsdA==:0000000000000001",
    value: '{"id":1,"item":"Grüße 🚀","completed":false}',
    metadata: '{"seq":12,"todo":{"id":1,"item":"Grüße 🚀","completed":false}}',
  },
  {
    key: "todo:ZGVmYXVsdA==:9007199254740991",
    value: `{"id":9007199254740991,"item":"${LARGE}","completed":true}`,
    metadata: '{"seq":15}',
  },
] as const;

describe.each(WRITTEN)("$key", ({ key, value, metadata }) => {
  const kept = JSON.parse(value);
  const { seq } = JSON.parse(metadata);

  test("is read, listed, and found by the rebuild", async () => {
    await KV.put(key, value, { metadata: JSON.parse(metadata) });
    const id = String(kept.id);
    expect(await readValue(KV, todo, "default", id)).toBe(value);
    expect(await listValues(KV, todo, "default", { limit: 9 })).toEqual({ data: [kept] });
    const data = JSON.parse(metadata).todo ?? null;
    const { values } = await listAll(KV, todo, { limit: 9 });
    expect(values).toEqual([{ key, owner: "default", id, seq, data }]);
  });

  test("is what a change writes", async () => {
    await writeValue(KV, todo, "default", String(kept.id), { seq, data: value });
    const { keys } = await KV.list();
    expect(keys.map(({ name }) => name)).toEqual([key]);
    const written = await KV.getWithMetadata(key);
    expect(written.value).toBe(value);
    expect(JSON.stringify(written.metadata)).toBe(metadata);
  });

  test("can be changed and removed, though the log has forgotten it", async () => {
    const env = newEnv();
    await env.KV.put(key, value, { metadata: JSON.parse(metadata) });
    const path = `/todo/${kept.id}`;
    expect((await call(env, "GET", path)).body).toEqual(kept);
    expect((await call(env, "POST", "/todo", kept)).status).toBe(409);
    expect((await call(env, "PUT", path, { item: "y" })).status).toBe(200);
    expect(await env.KV.get(key, "json")).toEqual({ ...kept, item: "y" });
    expect((await call(env, "DELETE", path)).status).toBe(200);
    expect((await env.KV.list()).keys).toEqual([]);
  });
});
