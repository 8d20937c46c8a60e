/** The page at /docs: all of the document, from the Worker's own assets, under a strict policy. */
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestHarness } from "wrangler";
import { buildDocument, OPERATIONS } from "../../openapi/document.ts";
import { page } from "../../openapi/page/page.ts";

const root = path.resolve(import.meta.dirname, "../..");
const html = page(buildDocument());

describe("the page", () => {
  it("has every operation, every event type and every shape", () => {
    const { webhooks, components } = buildDocument();
    const ids = [
      ...OPERATIONS.map(({ id }) => id),
      ...Object.keys(webhooks),
      ...Object.keys(components.schemas).map((name) => `schema-${name}`),
    ];
    expect(ids.filter((id) => !html.includes(`id="${id}"`))).toEqual([]);
  });

  it("has no link that leads nowhere", () => {
    const targets = [...html.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
    expect(targets.length).toBeGreaterThan(50);
    expect(targets.filter((id) => !html.includes(`id="${id}"`))).toEqual([]);
  });

  it("shows markup in the document as text", () => {
    const document = buildDocument();
    document.info.summary = '<script>alert("x")</script>';
    expect(page(document)).not.toContain("<script");
  });
});

describe("the Worker", () => {
  const harness = createTestHarness({
    root,
    workers: [{ configPath: "wrangler.toml", secrets: { AUTH: "open" } }],
  });
  let base: URL;
  beforeAll(async () => {
    base = (await harness.listen()).url;
  });
  afterAll(() => harness.close());

  it("serves it at /docs under a policy that runs no script and asks nobody else", async () => {
    const response = await fetch(new URL("/docs", base));
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const policy = response.headers.get("content-security-policy");
    expect(policy).toMatch(/^default-src 'none'; style-src 'self';/);
    expect(policy).not.toContain("script-src");
    expect(await response.text()).toBe(html);
  });

  it("has everything that the page loads", async () => {
    const loaded = [...html.matchAll(/<(?:link|img|script)[^>]* (?:href|src)="([^"]+)"/g)];
    expect(loaded.map(([, address]) => address)).toEqual(["data:,", "/docs.css"]);
    const style = await fetch(new URL("/docs.css", base));
    expect([style.status, style.headers.get("content-type")]).toEqual([
      200,
      "text/css; charset=utf-8",
    ]);
    await style.body?.cancel();
  });

  it("serves the document at /openapi.json to anybody, to be kept for a while", async () => {
    const response = await fetch(new URL("/openapi.json", base));
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    expect(await response.json()).toEqual(buildDocument());
  });

  it("answers its own routes as before, and does not list the assets' settings", async () => {
    for (const at of ["/health", "/_headers", "/"]) {
      const response = await fetch(new URL(at, base));
      expect([at, response.status]).toEqual([at, at === "/health" ? 200 : 404]);
      expect(response.headers.get("content-type")).toBe("application/json");
      await response.body?.cancel();
    }
  });
});
