/** Three nouns in one Worker: one database, one KV namespace, one Convoy project. Nothing in src/ was changed for it. */
import { describe, expect, test, vi } from "vitest";
import notes, { resources } from "../../examples/notes/app.ts";
import { INVOICE } from "../../examples/notes/invoice/document.ts";
import { buildDocument } from "../../openapi/document.ts";
import type { Bindings } from "../../src/settings.ts";
import { checkerOf } from "../support/documented.ts";
import { deliveries, log, logged, newEnv, call as ownCall } from "../support/worker.ts";

const document = buildDocument(resources, INVOICE);
const { demand } = checkerOf(document);
// Every answer is as the document of these nouns says.
const call = (env: Bindings, method: string, path: string, body?: unknown) =>
  ownCall(env, method, path, body, { service: { worker: notes as never, demand } });

const NEW = {
  todo: { id: 1, item: "a" },
  note: { id: 1, title: "b" },
  invoice: { id: "inv_1", customer: "Ada", amount_cents: 5 },
};

async function withEndpoint(event_types: string[] | null = null) {
  const env = newEnv();
  const body = { name: "R", url: "https://receiver.example/hook", event_types };
  const made = await call(env, "POST", "/endpoint", body);
  return { env, endpoint: String(made.body["Endpoint ID"]) };
}

/** The bodies that arrived, once there are as many. */
async function arrived(env: Bindings, count: number): Promise<Record<string, unknown>[]> {
  return vi.waitFor(async () => {
    const all = await deliveries(env);
    expect(all).toHaveLength(count);
    return all.map(({ body }) => JSON.parse(body));
  });
}

describe("a todo, a note and an invoice of the same owner", () => {
  test("each keep to themselves, with one log, and one webhook each", async () => {
    const { env } = await withEndpoint();
    for (const [name, body] of Object.entries(NEW)) {
      const made = await call(env, "POST", `/${name}`, body);
      expect([name, made.status]).toEqual([name, 201]);
      expect(made.headers.get("Location")).toBe(`/${name}/${body.id}`);
    }
    await call(env, "DELETE", "/note/1");
    expect((await call(env, "GET", "/todo")).body.data).toEqual([
      { ...NEW.todo, completed: false },
    ]);
    expect((await call(env, "GET", "/note")).body).toEqual({ data: [] });
    const { body } = await call(env, "GET", "/invoice/inv_1");
    expect(body).toEqual({ ...NEW.invoice, status: "open" });

    expect((await log(env)).map((row) => [row.type, row.resource, row.resource_id])).toEqual([
      ["created", "todo", "1"],
      ["note.created", "note", "1"],
      ["invoice.created", "invoice", "inv_1"],
      ["note.deleted", "note", "1"],
    ]);
    const bodies = await arrived(env, 4);
    expect(bodies).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ event: "created", todo: expect.anything() }),
        expect.objectContaining({ event: "deleted", note: { id: 1 } }),
        expect.objectContaining({ event: "created", invoice: body }),
      ]),
    );
  });

  test("are titled in the log's lists", async () => {
    const { env } = await withEndpoint();
    for (const [name, body] of Object.entries(NEW)) await call(env, "POST", `/${name}`, body);
    const titles = ["Ada: 0.05", "b", "a"];
    for (const path of ["/event", "/delivery"]) {
      const { data } = (await call(env, "GET", path)).body;
      expect(data.map(({ title }: { title: string }) => title)).toEqual(titles);
    }
  });

  test("are one catalogue, from which an endpoint takes what it names", async () => {
    const { env, endpoint } = await withEndpoint(["invoice.paid", "note.created"]);
    const types = (await call(env, "GET", "/event/type")).body.data;
    expect(types.map(({ type }: { type: string }) => type)).toEqual(Object.keys(document.webhooks));
    for (const [name, body] of Object.entries(NEW)) await call(env, "POST", `/${name}`, body);
    await call(env, "POST", "/invoice/inv_1/pay");
    expect((await logged(env)).map(({ type }) => type)).toEqual(["note.created", "invoice.paid"]);
    const { status } = await call(env, "POST", `/endpoint/${endpoint}/test`, {
      type: "invoice.paid",
    });
    expect(status).toBe(202);
    const bodies = await arrived(env, 3);
    expect(bodies.at(-1)).toMatchObject({ event: "invoice.paid", test: true });
  });
});

describe("an invoice", () => {
  test("is paid once, and then neither changed nor removed, also when KV is old", async () => {
    const { env } = await withEndpoint();
    await call(env, "POST", "/invoice", NEW.invoice);
    const old = await env.KV.getWithMetadata((await env.KV.list()).keys[0]?.name ?? "");
    expect((await call(env, "POST", "/invoice/inv_1/pay")).status).toBe(200);
    // As if this read came from another place, where KV is a minute behind.
    const key = (await env.KV.list()).keys[0]?.name ?? "";
    await env.KV.put(key, String(old.value), { metadata: old.metadata });
    const before = await log(env);
    for (const [method, path, body] of [
      ["POST", "/invoice/inv_1/pay", undefined],
      ["PUT", "/invoice/inv_1", { amount_cents: 1 }],
      ["DELETE", "/invoice/inv_1", undefined],
    ] as const) {
      const reply = await call(env, method, path, body);
      expect(reply).toMatchObject({
        status: 409,
        body: { error: "The invoice is paid: only an open one can be changed, removed or paid." },
      });
      expect(reply.headers.has("X-Event-Id")).toBe(false);
    }
    expect(await log(env)).toEqual(before);
  });

  test.each(["1", "inv_", "INV_1", "inv_a.b", `inv_${"x".repeat(65)}`])(
    "has no id like %s",
    async (id) => {
      const env = newEnv();
      expect((await call(env, "GET", `/invoice/${id}`)).status).toBe(400);
      expect((await call(env, "POST", "/invoice", { ...NEW.invoice, id })).status).toBe(400);
    },
  );

  test("gets an id of its kind, and is listed in order of ids", async () => {
    const env = newEnv();
    for (const id of ["inv_b", "inv_a1", undefined, "inv_a"]) {
      await call(env, "POST", "/invoice", { ...NEW.invoice, id });
    }
    const { data } = (await call(env, "GET", "/invoice")).body;
    const ids = data.map((one: { id: string }) => one.id);
    expect(ids).toEqual(ids.toSorted());
    expect(ids).toHaveLength(4);
    expect(ids.every((id: string) => /^inv_[A-Za-z0-9_-]+$/.test(id))).toBe(true);
  });
});
