/** Webhooks as sent fit the schemas that receivers are given, and have nothing else. */
import { describe, expect, test } from "vitest";
import * as z from "zod/mini";
import { bodyOf, type Content } from "../../../src/outbox/message.ts";
import { type AnyResource, PING, registryOf } from "../../../src/outbox/resource.ts";
import { PingWebhook, webhookSchema } from "../../../src/outbox/webhook.ts";
import { part, thing } from "../../support/thing.ts";

const registry = registryOf([thing, part]);
const RESOURCES: AnyResource[] = [thing, part];

const event = (more: Partial<Content>): Content => ({
  id: "019ab5e1-6c00-7d2e-8f10-2b6f0c9a4d31",
  seq: 1,
  type: "ping",
  occurred_at: 0,
  resource: null,
  resource_id: null,
  data: null,
  test: 0,
  ...more,
});

/** Where a body differs from its schema, which here allows no other fields. */
function wrongWith(schema: z.ZodMiniObject, content: Content): unknown[] {
  const strict = z.strictObject(schema.shape);
  return z.safeParse(strict, bodyOf(content, registry)).error?.issues ?? [];
}

describe.each(RESOURCES)("webhooks of $name", (resource) => {
  const subject = { resource: resource.name, resource_id: String(resource.example.id) };
  const whole = JSON.stringify(resource.example);

  test.each([...resource.types.values()])("$type", (type) => {
    const schema = webhookSchema(resource, type);
    const { retrieved, failed } = resource.verbs;
    const data = type.change === "delete" || type === failed ? null : whole;
    const one = event({ ...subject, type: type.type, data });
    const { seq: _, ...read } = one;
    if (type !== retrieved) expect(wrongWith(schema, one)).toEqual([]);
    if (type === retrieved || type === failed) expect(wrongWith(schema, read)).toEqual([]);
    const test = { ...one, data: JSON.stringify(type.example), test: 1 as const };
    expect(wrongWith(schema, test)).toEqual([]);
    expect(bodyOf(test, registry)).not.toHaveProperty("sequence");
    // The schemas tell types apart.
    expect(wrongWith(schema, { ...one, type: "ping" })).not.toEqual([]);
  });

  test("retrieved, of a list", () => {
    const { retrieved } = resource.verbs;
    const { seq: _, ...list } = event({ type: retrieved.type, resource: resource.name });
    expect(wrongWith(webhookSchema(resource, retrieved), list)).toEqual([]);
  });
});

test("ping", () => {
  expect(wrongWith(PingWebhook, event({ type: PING.type }))).toEqual([]);
});
